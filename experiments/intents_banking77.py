"""A BERT that classifies questions of a bank's customers by 77 intents.

Family: Transformer encoder (BERT)
Task: intent classification
Data: BANKING77 (own TFDS builder), 10,003 less a tenth for validation, and 3,080; --offline: the
    Python documentation. Or --data: texts with classes
Published: none that could be confirmed

The pretrained part is `bert_english`, whose corpus has the training questions without their labels,
those that are held out for validation among them. Ten training questions are in the test too, and
are left out of train. `--no-pretrained`: the same model and steps, from random weights.
"""

from dataclasses import dataclass
from pathlib import Path

import dlcore
from dlcore.bounds import PositiveInt, Rate
from dlcore.data import tokens
from dlcore.data.sets import labelled_texts
from dlcore.models.bert import TENSOR, Classifier
from dlcore.models.encoder import Size
from dlcore.options import RunOptions
from dlcore.tasks import classification, text_classification, text_scores
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits, Weights, weights

ASSET = Path(__file__).with_name("assets") / "bert_english"  # weights and tokenizer
TRAINED = {"heads": 4}  # with which these weights were trained
RUN = RunOptions(cpu_devices=1)


@dataclass(frozen=True)
class Config:
    pretrained: bool = True
    layers: PositiveInt = 2
    heads: PositiveInt = 4
    width: PositiveInt = 128
    length: PositiveInt = 48
    dropout: Rate = 0.2
    label_smoothing: Rate = 0.1
    recipe: Recipe = Recipe("muon", lr=2e-3, warmup=0.1, weight_decay=0.1, clip_norm=1.0)
    batch: int = 64
    steps: int = 1500


ADAMW = Recipe("adamw", lr=2e-3, warmup=0.1, weight_decay=0.1, clip_norm=1.0)
PRESETS = {
    "offline": Config(steps=300),
    "tiny": Config(False, 1, 2, 16, length=16, recipe=ADAMW, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    tokenizer = tokens.load(ASSET.with_suffix(".json"))
    return labelled_texts.load("banking77", source, c.length, tokenizer)


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes
    size = Size(c.layers, c.heads, c.width, dropout=c.dropout)
    net = Classifier(splits.facts.vocabulary, size, len(classes), c.dropout)
    model = Model("net", net, inputs=lambda batch, key, train: batch["tokens"])
    loss = classification.loss(model, c.label_smoothing)
    if c.pretrained:
        weights.check_same(TRAINED, {"heads": c.heads})
    pretrained = {"net/text": Weights(ASSET.with_suffix(".npz"), "net/text")}
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        load=pretrained if c.pretrained else {},
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        evaluators=text_scores.evaluators(model, splits),
        samples=[text_scores.samples("Test questions", model, splits.test, classes)],
        predictor=text_classification.predictor(model, splits.facts),
        best="validation/accuracy",
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
