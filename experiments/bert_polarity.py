"""A BERT that tells praise from blame in film reviews, from pretrained weights or from nothing; ten folds, a run each.

Family: Transformer encoder (BERT)
Task: sentiment (text classification)
Data: sentence polarity 1.0 (own TFDS builder), 10,662 sentences, ten folds; --offline: two topics of the Python documentation
Published: accuracy 0.759 over ten folds by a CNN without pretrained vectors (harvardnlp/sent-conv-torch README, MR, CNN-rand)

`--fold K` tests on a tenth, validates on the next one and trains on the other eight; the result is the mean over K = 0..9.
The pretrained part is `bert_english`, whose corpus was not made of these texts (two of them occur in it all the same: "horrible"
and "don't waste your money ."). `--no-pretrained`: the same model and steps.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt, Range, Rate
from dlcore.data import tfds, tokens
from dlcore.data.sets import embedded, sentences
from dlcore.data.source import arrays
from dlcore.models.apply import apply
from dlcore.models.bert import TENSOR, Classifier
from dlcore.models.encoder import Size
from dlcore.options import Flags
from dlcore.tasks.classification import classification, texts
from dlcore.train import optim
from dlcore.train import weights as export
from dlcore.train.experiment import Experiment, Published
from dlcore.train.step import Objective
from dlcore.train.weights import graft

ASSET = Path(__file__).with_name("assets") / "bert_english"  # bert_english, exported, and its pieces
FLAGS = Flags(cpu_devices=1)


@dataclass(frozen=True)
class Config:
    fold: Annotated[int, Range(0, 9)] = 0
    pretrained: bool = True
    layers: PositiveInt = 2
    heads: PositiveInt = 4
    width: PositiveInt = 128
    length: PositiveInt = 48
    dropout: Rate = 0.2
    optimizer: optim.Kind = "muon"
    lr: NonNegativeFloat = 1e-3
    decay: NonNegativeFloat = 0.1
    smoothing: Rate = 0.1
    batch: int = 64
    steps: int = 330
    offline: bool = False


TINY = Config(pretrained=False, optimizer="adamw", layers=1, heads=2, width=16, length=16, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    pieces = tokens.load(ASSET.with_suffix(".json"))
    net = Classifier(len(pieces), Size(c.layers, c.heads, c.width, dropout=c.dropout), 2, c.dropout)
    if not c.offline:
        name, version, names = "sentence_polarity", tfds.version("sentence_polarity"), tfds.class_names("sentence_polarity")
        told = tfds.columns(name, "train", ["text", "label"])
        said, label = told["text"], np.array(told["label"], np.int32)
    else:
        name, version, names = "documentation", embedded.documentation_version(), ("first topic", "second topic")
        said, label = sentences.documentation()
        said, label = [text for text, topic in zip(said, label, strict=True) if topic < 2], label[label < 2]
    rows, parts = sentences.padded(pieces, said, c.length), sentences.cut(label, 10, c.fold)
    splits = {
        split: arrays(name, version, f"{split} of fold {c.fold}", {"tokens": rows[part], "label": label[part]})
        for split, part in parts.items()
    }

    def init(key, batch):
        fresh = net.init(key, batch["tokens"])
        if not c.pretrained:
            return fresh
        return {"params": graft(fresh["params"], export.load(ASSET.with_suffix(".npz"))["params"]["net"], {"text": "text"})}

    def logits(params, extra, batch, key, train):
        return apply(net, "net", params, extra, batch["tokens"], key=key, train=train, row=batch["row"])

    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 10)
    held = [said[i] for i in parts["test"]]
    return Experiment(
        train=splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": init},
        objectives={
            "net": Objective(classification(logits, c.smoothing), optim.make(c.optimizer, rate, decay=c.decay, clip=1.0))
        },
        eval={"validation": splits["validation"], "test": splits["test"]},
        sample=lambda state, key: texts("Test sentences", logits, state, splits["test"], held, names),
        best="validation/accuracy",
        published=Published("accuracy", 0.759, "sent-conv-torch README, MR, CNN-rand, mean of ten folds"),
        tensor=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
