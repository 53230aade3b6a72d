"""A bidirectional LSTM that classifies the sentiment of phrases and sentences.

Family: Recurrent network (Elman, LSTM, GRU)
Task: sentiment (text classification)
Data: Stanford Sentiment Treebank, two classes (own TFDS builder sst2), phrases and sentences to
    train, 1,821 sentences and the 872 of GLUE's development set to test; --offline: the Python
    documentation. Or --data: texts with classes
Published: accuracy 0.852 on GLUE's development set (google/flax, examples/sst2, an LSTM)

Embeddings start from random vectors. Validation has the 668 labelled sentences among a tenth of
the training sentences. Train has 61,217 of GLUE's 67,349 phrases: those of held-out sentences, and
those that are a sentence of a test, are left out. The published model was trained on all.
"""

from dataclasses import dataclass

import dlcore
from dlcore.bounds import PositiveInt, Rate
from dlcore.data.sets import labelled_texts
from dlcore.models.rnn import RNN, Cell
from dlcore.models.text_cnn import TextRNN
from dlcore.options import RunOptions
from dlcore.tasks import classification, text_classification, text_scores
from dlcore.train import DataSource, Experiment, Model, Objective, Published, Recipe, Splits

RUN = RunOptions(cpu_devices=1)


@dataclass(frozen=True)
class Config:
    embedding: PositiveInt = 128
    cell: Cell = "lstm"
    width: PositiveInt = 128
    layers: PositiveInt = 1
    length: PositiveInt = 48
    rarest: PositiveInt = 2
    """occurrences in train from which a word is known"""
    dropout: Rate = 0.5
    label_smoothing: Rate = 0.1
    recipe: Recipe = Recipe("adamw", lr=2e-3, weight_decay=0.1, clip_norm=1.0)
    batch: int = 64
    steps: int = 3000


PRESETS = {
    "offline": Config(steps=300),
    "tiny": Config(8, width=8, length=16, dropout=0.1, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return labelled_texts.load("sst2", source, c.length, rarest=c.rarest)


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes
    rnn = RNN(c.cell, c.width, c.layers, bidirectional=True, dropout=c.dropout)
    net = TextRNN(splits.facts.vocabulary, c.embedding, rnn, len(classes), c.dropout)
    model = Model("net", net, inputs=lambda batch, key, train: batch["tokens"])
    loss = classification.loss(model, c.label_smoothing)
    source = "google/flax examples/sst2 README, an LSTM"
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        evaluators=text_scores.evaluators(model, splits),
        samples=[text_scores.samples("Test sentences", model, splits.test, classes)],
        predictor=text_classification.predictor(model, splits.facts),
        best="validation/accuracy",
        published=Published("accuracy", 0.8521, source, split="glue_dev"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
