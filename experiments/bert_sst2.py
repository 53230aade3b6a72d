"""A BERT that classifies the sentiment of phrases and sentences, tuned whole or in part.

Family: Transformer encoder (BERT)
Task: sentiment (text classification)
Data: Stanford Sentiment Treebank, two classes (own TFDS builder sst2), phrases and sentences to
    train, 1,821 sentences and the 872 of GLUE's development set to test; --offline: the Python
    documentation. Or --data: texts with classes
Published: accuracy 0.852 on GLUE's development set (google/flax, examples/sst2, an LSTM)

The pretrained part is `bert_english`; `--no-pretrained`: from random weights. Presets that train
less: "low_rank", pairs of low rank beside the frozen matrices of the blocks, and the head; "head",
the head alone. `trained_parameters` and `optimizer_bytes` are among the results. Train has 61,217
of GLUE's 67,349 phrases: those of held-out sentences, and those that are a sentence of a test, are
left out. Two test sentences, "I loved it!" and "What's next?", occur in `bert_english`'s corpus.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import dlcore
from dlcore.bounds import PositiveFloat, PositiveInt, Rate
from dlcore.data import tokens
from dlcore.data.sets import labelled_texts
from dlcore.models.bert import TENSOR, Classifier
from dlcore.models.encoder import Size
from dlcore.options import DataSource, RunOptions
from dlcore.tasks import classification, text_classification, text_scores
from dlcore.train import Experiment, Model, Objective, Published, Recipe, Splits, tuning, weights

ASSET = Path(__file__).with_name("assets") / "bert_english"  # weights and tokenizer
TRAINED = {"heads": 4}  # with which these weights were trained
RUN = RunOptions(cpu_devices=1)
BLOCKS = (r"block_\d+/(qkv|out|up|down)/kernel",)


@dataclass(frozen=True)
class Config:
    pretrained: bool = True
    tuning: Literal["full", "low_rank", "head"] = "full"
    """which parameters are trained: all, pairs of low rank and the head, or the head"""
    rank: PositiveInt = 8  # of --tuning low_rank
    alpha: PositiveFloat = 16.0  # of --tuning low_rank
    layers: PositiveInt = 2
    heads: PositiveInt = 4
    width: PositiveInt = 128
    length: PositiveInt = 48
    dropout: Rate = 0.2
    label_smoothing: Rate = 0.1
    recipe: Recipe = Recipe("muon", lr=1e-3, warmup=0.1, weight_decay=0.1, clip_norm=1.0)
    batch: int = 64
    steps: int = 3000


LOW_RANK = Recipe("adamw", lr=3e-3, warmup=0.1, clip_norm=1.0)
HEAD = Recipe("adamw", lr=1e-2, warmup=0.1)
ADAMW = Recipe("adamw", lr=1e-3, warmup=0.1, weight_decay=0.1, clip_norm=1.0)
PRESETS = {
    "low_rank": Config(tuning="low_rank", dropout=0.1, recipe=LOW_RANK),
    "head": Config(tuning="head", dropout=0.1, recipe=HEAD),
    "offline": Config(steps=300),
    "tiny": Config(False, "low_rank", 2, 4.0, 1, 2, 16, 16, recipe=ADAMW, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return labelled_texts.load("sst2", source, c.length, tokens.load(ASSET.with_suffix(".json")))


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes
    size = Size(c.layers, c.heads, c.width, dropout=c.dropout)
    net = Classifier(splits.facts.vocabulary, size, len(classes), c.dropout)
    model = Model("net", net, inputs=lambda batch, key, train: batch["tokens"])
    tuned: tuning.Whole | tuning.Tuned = tuning.Whole(model)
    if c.tuning != "full":
        matrices = BLOCKS if c.tuning == "low_rank" else ()
        tuned = tuning.tuned(model, splits.template(c.batch), matrices, ("^head",), c.rank, c.alpha)
    loss = classification.loss(tuned, c.label_smoothing)
    objectives = {tuned.trained: Objective(loss, c.recipe(c.steps))}
    if c.pretrained:
        weights.check_same(TRAINED, {"heads": c.heads})
    pretrained = {"net/text": weights.Weights(ASSET.with_suffix(".npz"), "net/text")}
    source = "google/flax examples/sst2 README, an LSTM"
    return Experiment(
        config=c,
        splits=splits,
        models=tuned.models,
        load=pretrained if c.pretrained else {},
        objectives=objectives,
        evaluators=[*text_scores.evaluators(tuned, splits), tuning.evaluator(objectives)],
        samples=[text_scores.samples("Test sentences", tuned, splits.test, classes)],
        predictor=text_classification.predictor(tuned, splits.facts),
        best="validation/accuracy",
        published=Published("accuracy", 0.8521, source, split="glue_dev"),
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
