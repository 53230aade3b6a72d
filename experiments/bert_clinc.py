"""A BERT that names what a person asks an assistant for, or that it is none of 150 intents; pretrained or from nothing.

Family: Transformer encoder (BERT)
Task: intent classification
Data: CLINC150 (TFDS clinc_oos 0.1.0), 15,100/3,100/5,500, out of scope as class 151; --offline: topics of the Python documentation
Published: none that could be confirmed

Accuracy in scope and recall out of scope are those of the data's authors: the out-of-scope set trains a class of its own.
The pretrained part is `bert_english`, whose corpus was not made of these texts (23 of the 4,500 questions of the test occur in it
all the same, such as "yes please"). `--no-pretrained`: the same model and steps.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt, Rate
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
from dlcore.train.batched import over
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective
from dlcore.train.weights import graft

ASSET = Path(__file__).with_name("assets") / "bert_english"  # bert_english, exported, and its pieces
FLAGS = Flags(cpu_devices=1)


@dataclass(frozen=True)
class Config:
    pretrained: bool = True
    layers: PositiveInt = 2
    heads: PositiveInt = 4
    width: PositiveInt = 128
    length: PositiveInt = 20
    dropout: Rate = 0.2
    optimizer: optim.Kind = "muon"
    lr: NonNegativeFloat = 2e-3
    decay: NonNegativeFloat = 0.1
    smoothing: Rate = 0.1
    batch: int = 128
    steps: int = 800
    offline: bool = False


OFFLINE = Config(steps=300, offline=True)
TINY = Config(pretrained=False, optimizer="adamw", layers=1, heads=2, width=16, length=16, batch=32, steps=6, offline=True)


def questions(c):
    """Of each split the texts and their classes, and the classes' names: out of scope is the last."""
    if c.offline:
        said, topic = sentences.documentation()
        label = np.minimum(topic, 10)
        parts = sentences.cut(label, 10, 0).items()
        names = (*map("topic {}".format, range(10)), "other")
        return {split: ([said[i] for i in part], label[part]) for split, part in parts}, names

    def read(split):
        inside, outside = (tfds.columns("clinc_oos", part, ["text", "intent_name"]) for part in (split, f"{split}_oos"))
        return inside["text"] + outside["text"], inside["intent_name"] + ["out of scope"] * len(outside["text"])

    told = {split: read(split) for split in ("train", "validation", "test")}
    names = (*sorted({*told["train"][1]} - {"out of scope"}), "out of scope")
    return {split: (said, np.array([names.index(n) for n in called], np.int32)) for split, (said, called) in told.items()}, names


def build(c: Config) -> Experiment:
    pieces, (data, names) = tokens.load(ASSET.with_suffix(".json")), questions(c)
    name, version = ("documentation", embedded.documentation_version()) if c.offline else ("clinc_oos", tfds.version("clinc_oos"))
    net = Classifier(len(pieces), Size(c.layers, c.heads, c.width, dropout=c.dropout), len(names), c.dropout)
    splits = {
        split: arrays(name, version, split, {"tokens": sentences.padded(pieces, said, c.length), "label": label})
        for split, (said, label) in data.items()
    }

    def init(key, batch):
        fresh = net.init(key, batch["tokens"])
        if not c.pretrained:
            return fresh
        return {"params": graft(fresh["params"], export.load(ASSET.with_suffix(".npz"))["params"]["net"], {"text": "text"})}

    def logits(params, extra, batch, key, train):
        return apply(net, "net", params, extra, batch["tokens"], key=key, train=train, row=batch["row"])

    def evaluate(state):
        held = splits["test"].arrays
        guess = over(lambda x: logits(state.params, {}, {"tokens": x, "row": None}, None, False)[0].argmax(-1), held["tokens"])
        right, outside = guess == held["label"], held["label"] == len(names) - 1
        found = {"in_scope_accuracy": right[~outside].mean(), "out_of_scope_recall": right[outside].mean()}
        return {"test": {metric: float(value) for metric, value in found.items()}}

    optimizer = optim.make(c.optimizer, optim.warmup_cosine(c.lr, c.steps, c.steps // 10), decay=c.decay, clip=1.0)
    return Experiment(
        train=splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": init},
        objectives={"net": Objective(classification(logits, c.smoothing), optimizer)},
        eval={"validation": splits["validation"], "test": splits["test"]},
        evaluate=evaluate,
        sample=lambda state, key: texts("Test questions", logits, state, splits["test"], data["test"][0], names),
        best="validation/accuracy",
        tensor=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
