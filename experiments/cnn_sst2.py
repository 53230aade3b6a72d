"""Kim's convolutional network (2014) classifies the sentiment of phrases and sentences.

Family: CNN
Task: sentiment (text classification)
Data: Stanford Sentiment Treebank, two classes (own TFDS builder sst2), phrases and sentences to
    train, 1,821 sentences and the 872 of GLUE's development set to test; --offline: the Python
    documentation. Or --data: texts with classes
Published: accuracy 0.835 on the 1,821 sentences (harvardnlp/sent-conv-torch, SST-2, CNN-rand)

Embeddings start from random vectors. Validation has the 668 labelled sentences among a tenth of
the training sentences. Train has 61,217 of GLUE's 67,349 phrases: those of held-out sentences, and
those that are a sentence of a test, are left out. The published model was trained on all.
"""

from dataclasses import dataclass

import dlcore
from dlcore.bounds import PositiveInt, Rate
from dlcore.data.sets import labelled_texts
from dlcore.models.text_cnn import TextCNN
from dlcore.options import RunOptions
from dlcore.tasks import classification, text_classification, text_scores
from dlcore.train import DataSource, Experiment, Model, Objective, Published, Recipe, Splits

RUN = RunOptions(cpu_devices=1)


@dataclass(frozen=True)
class Config:
    width: PositiveInt = 128
    lengths: tuple[PositiveInt, ...] = (3, 4, 5)
    features: PositiveInt = 100
    length: PositiveInt = 48
    rarest: PositiveInt = 2
    """occurrences in train from which a word is known"""
    dropout: Rate = 0.5
    label_smoothing: Rate = 0.1
    recipe: Recipe = Recipe("adamw", lr=1e-3, weight_decay=0.1)
    batch: int = 64
    steps: int = 4000


PRESETS = {
    "offline": Config(steps=300),
    "tiny": Config(8, (2, 3), 8, 16, dropout=0.1, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return labelled_texts.load("sst2", source, c.length, rarest=c.rarest)


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes
    net = TextCNN(splits.facts.vocabulary, c.width, c.lengths, c.features, len(classes), c.dropout)
    model = Model("net", net, inputs=lambda batch, key, train: batch["tokens"])
    loss = classification.loss(model, c.label_smoothing)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        evaluators=text_scores.evaluators(model, splits),
        samples=[text_scores.samples("Test sentences", model, splits.test, classes)],
        predictor=text_classification.predictor(model, splits.facts),
        best="validation/accuracy",
        published=Published("accuracy", 0.835, "sent-conv-torch README, SST-2, CNN-rand"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
