"""A BERT that classifies the intent of questions to an assistant, or none of 150 intents.

Family: Transformer encoder (BERT)
Task: intent classification
Data: CLINC150 (TFDS clinc_oos 0.1.0), 15,100/3,100/5,500; --offline: Python documentation
Published: none that could be confirmed

Metrics are the authors' accuracy in scope and recall out of scope. The pretrained part is
`bert_english`; 23 of the 4,500 test questions, such as "yes please", occur in its corpus.
`--no-pretrained`: the same model and steps, from random weights.
"""

from dataclasses import dataclass
from pathlib import Path

import dlcore
from dlcore.bounds import PositiveInt, Rate
from dlcore.data import tokens
from dlcore.data.sets import sentences
from dlcore.models.bert import TENSOR, Classifier
from dlcore.models.encoder import Size
from dlcore.options import RunOptions
from dlcore.tasks import classification, text_classification
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
    length: PositiveInt = 20
    dropout: Rate = 0.2
    label_smoothing: Rate = 0.1
    recipe: Recipe = Recipe("muon", lr=2e-3, warmup=0.1, weight_decay=0.1, clip_norm=1.0)
    batch: int = 128
    steps: int = 800


ADAMW = Recipe("adamw", lr=2e-3, warmup=0.1, weight_decay=0.1, clip_norm=1.0)
PRESETS = {
    "offline": Config(steps=300),
    "tiny": Config(False, 1, 2, 16, length=16, recipe=ADAMW, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return sentences.load("clinc_oos", source, tokens.load(ASSET.with_suffix(".json")), c.length)


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes
    size = Size(c.layers, c.heads, c.width, dropout=c.dropout)
    net = Classifier(splits.facts.vocabulary, size, len(classes), c.dropout)
    model = Model("net", net, inputs=lambda batch, key, train: batch["tokens"])
    # own data have no class of what is out of scope
    by_scope = text_classification.scope_metrics(splits.facts.get("out_of_scope"))
    loss = classification.loss(model, c.label_smoothing, evaluation_metrics=by_scope)
    if c.pretrained:
        weights.check_same(TRAINED, {"heads": c.heads})
    pretrained = {"net/text": Weights(ASSET.with_suffix(".npz"), "net/text")}
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        load=pretrained if c.pretrained else {},
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        samples=[classification.text_samples("Test questions", model, splits.test, classes)],
        predictor=text_classification.predictor(model, splits.facts),
        best="validation/accuracy",
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
