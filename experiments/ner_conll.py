"""A bidirectional LSTM over words and characters with a CRF finds names in news.

Family: recurrent network with a conditional random field
Task: named entities (sequence tagging)
Data: CoNLL-2003 English (own builder), 14,041/3,250/3,453; --offline: synthetic names
Published: F1 0.85 by words and characters (Wang-chengfei/BiLSTM-CRF, vectors not stated)

Word vectors start random. `--preset pretrained` adds the encoder of `bert_english`, which reads
lower-case subwords.
"""

from dataclasses import dataclass
from pathlib import Path

import dlcore
from dlcore.bounds import NonNegativeInt, PositiveInt, Rate
from dlcore.data import tokens
from dlcore.data.sets import tagged
from dlcore.models.rnn import Cell
from dlcore.options import DataSource, RunOptions
from dlcore.tasks import tagging, tagging_network, tagging_predictor, tagging_samples
from dlcore.train import Experiment, Model, Objective, Published, Recipe, Splits, Weights

ASSET = Path(__file__).with_name("assets") / "bert_english"  # weights and tokenizer
RUN = RunOptions(cpu_devices=1)


@dataclass(frozen=True)
class Config:
    pretrained: bool = False  # reads subwords through the encoder of bert_english too
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
    recipe: Recipe = Recipe("adamw", lr=4e-3, weight_decay=0.01, clip_norm=5.0)
    batch: int = 32
    steps: int = 6000


PRESETS = {
    "pretrained": Config(pretrained=True),
    "offline": Config(steps=400),
    "tiny": Config(width=8, word_width=8, character_features=8, length=16, dropout=0.0, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    subwords = tokens.load(ASSET.with_suffix(".json")) if c.pretrained else None
    return tagged.load("conll2003_en", source, c.length, rarest=c.rarest, subwords=subwords)


def build(c: Config, splits: Splits) -> Experiment:
    facts = splits.facts
    encoder = tagging_network.ENCODER if c.pretrained else None
    widths = (c.word_width, c.character_features, c.width)
    rates = (c.dropout, c.word_dropout)
    net = tagging_network.tagger(facts, widths, c.layers, c.cell, rates, c.crf, encoder)
    model = Model("net", net, inputs=tagging.inputs)
    decoder = tagging.Decoder(model, facts)
    weights = {"net/text": Weights(ASSET.with_suffix(".npz"), "net/text")}
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        load=weights if c.pretrained else {},
        objectives={"net": Objective(tagging.loss(model), c.recipe(c.steps))},
        evaluators=tagging.evaluators(decoder, splits),
        samples=[tagging_samples.samples(decoder, splits.test)],
        predictor=tagging_predictor.predictor(decoder),
        best="validation/f1",
        published=Published("f1", 0.85, "Wang-chengfei/BiLSTM-CRF", caveat="vectors not stated"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
