"""A bidirectional LSTM with a CRF reads requests: the intent and all slots at once.

Family: recurrent network with a conditional random field
Task: intents and slots (sequence tagging)
Data: ATIS (own TFDS builder), 4,478/500/893; --offline: synthetic requests
Published: slot F1 0.951, intent 0.946, whole sentence 0.820 by a BiLSTM (shubham8111/Joint-NLU);
    0.948, 0.967 and 0.849 by Slot-Gated (MiuLab/SlotGated-SLU, their second run)
Headline: test/sentence_accuracy

Slots are scored as whole spans. A sentence is right if its intent and all of its tags are.
"""

from dataclasses import dataclass

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data.sets import tagged
from dlcore.models.rnn import Cell
from dlcore.options import RunOptions
from dlcore.tasks import tagging, tagging_network, tagging_predictor, tagging_samples
from dlcore.train import DataSource, Experiment, Model, Objective, Published, Recipe, Splits

RUN = RunOptions(cpu_devices=1)


@dataclass(frozen=True)
class Config:
    cell: Cell = "lstm"
    width: PositiveInt = 128
    layers: NonNegativeInt = 1
    word_width: PositiveInt = 100
    character_features: PositiveInt = 50
    crf: bool = True
    length: PositiveInt = 48  # words of a row; longer sentences are several rows
    rarest: PositiveInt = 2  # occurrences from which a word is in the vocabulary
    dropout: Rate = 0.5
    word_dropout: Rate = 0.1
    intent_weight: NonNegativeFloat = 1.0
    recipe: Recipe = Recipe("adamw", lr=4e-3, weight_decay=0.01, clip_norm=5.0)
    batch: int = 32
    steps: int = 3000


PRESETS = {
    "offline": Config(steps=400),
    "tiny": Config(width=8, word_width=8, character_features=8, length=16, dropout=0.0, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return tagged.load("atis", source, c.length, rarest=c.rarest)


def build(c: Config, splits: Splits) -> Experiment:
    facts = splits.facts
    widths = (c.word_width, c.character_features, c.width)
    rates = (c.dropout, c.word_dropout)
    net = tagging_network.tagger(facts, widths, c.layers, c.cell, rates, c.crf, intents=True)
    model = Model("net", net, inputs=tagging.inputs)
    decoder = tagging.Decoder(model, facts)
    source = "MiuLab/SlotGated-SLU, Slot-Gated, their second run"
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(tagging.loss(model, c.intent_weight), c.recipe(c.steps))},
        evaluators=tagging.evaluators(decoder, splits),
        samples=[tagging_samples.samples(decoder, splits.test)],
        predictor=tagging_predictor.predictor(decoder),
        best=tagging.best(facts),
        published=Published("sentence_accuracy", 0.849, source),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
