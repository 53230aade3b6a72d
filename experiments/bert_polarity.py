"""A BERT that classifies the sentiment of film reviews, in ten folds.

Family: Transformer encoder (BERT)
Task: sentiment (text classification)
Data: sentence polarity 1.0 (own TFDS builder), 10,662; --offline: the Python documentation
Published: accuracy 0.759 over ten folds, a CNN (harvardnlp/sent-conv-torch, MR, CNN-rand)

`--fold K` tests on a tenth and validates on the next one; the result is the mean over K = 0..9. The
pretrained part is `bert_english`; two of the sentences occur in its corpus. `--no-pretrained`: the
same model and steps, from random weights.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import dlcore
from dlcore.bounds import PositiveInt, Range, Rate
from dlcore.data import tokens
from dlcore.data.sets import sentences
from dlcore.models.bert import TENSOR, Classifier
from dlcore.models.encoder import Size
from dlcore.options import DataSource, RunOptions
from dlcore.tasks import classification, text_classification
from dlcore.train import Experiment, Model, Objective, Published, Recipe, Splits, Weights, weights

ASSET = Path(__file__).with_name("assets") / "bert_english"  # weights and tokenizer
TRAINED = {"heads": 4}  # with which these weights were trained
RUN = RunOptions(cpu_devices=1)


@dataclass(frozen=True)
class Config:
    fold: Annotated[int, Range(0, 9)] = 0
    pretrained: bool = True
    layers: PositiveInt = 2
    heads: PositiveInt = 4
    width: PositiveInt = 128
    length: PositiveInt = 48
    dropout: Rate = 0.2
    label_smoothing: Rate = 0.1
    recipe: Recipe = Recipe("muon", lr=1e-3, warmup=0.1, weight_decay=0.1, clip_norm=1.0)
    batch: int = 64
    steps: int = 330


ADAMW = Recipe("adamw", lr=1e-3, warmup=0.1, weight_decay=0.1, clip_norm=1.0)
PRESETS = {"tiny": Config(0, False, 1, 2, 16, length=16, recipe=ADAMW, batch=32, steps=6)}


def data(c: Config, source: DataSource) -> Splits:
    tokenizer = tokens.load(ASSET.with_suffix(".json"))
    return sentences.load("sentence_polarity", source, tokenizer, c.length, c.fold)


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes
    size = Size(c.layers, c.heads, c.width, dropout=c.dropout)
    net = Classifier(splits.facts.vocabulary, size, len(classes), c.dropout)
    model = Model("net", net, inputs=lambda batch, key, train: batch["tokens"])
    loss = classification.loss(model, c.label_smoothing)
    if c.pretrained:
        weights.check_same(TRAINED, {"heads": c.heads})
    pretrained = {"net/text": Weights(ASSET.with_suffix(".npz"), "net/text")}
    source = "sent-conv-torch README, MR, CNN-rand, mean of ten folds"
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        load=pretrained if c.pretrained else {},
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        samples=[classification.text_samples("Test sentences", model, splits.test, classes)],
        predictor=text_classification.predictor(model, splits.facts),
        best="validation/accuracy",
        published=Published("accuracy", 0.759, source),
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
