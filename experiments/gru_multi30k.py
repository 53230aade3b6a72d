"""A recurrent encoder-decoder with attention on Multi30k, German to English.

Family: recurrent encoder-decoder with attention
Task: machine translation
Data: Multi30k (own builder), 29,000/1,014/1,000 (test 2016); --offline: artificial languages
Published: test BLEU 28.3, a GRU with attention (bentrevett/pytorch-seq2seq; lower case, spaCy)

The metrics are sacreBLEU of plain text, with case and in lower case. --reverse: English to German.
"""

from dataclasses import dataclass
from functools import partial

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data import tokenizer
from dlcore.data.sets import pairs
from dlcore.models.attention_gru import AttentionGRU, Size, begin
from dlcore.tasks import translation, translation_predictor
from dlcore.train import DataSource, Experiment, Model, Objective, Published, Recipe, Splits


@dataclass(frozen=True)
class Config:
    encoder_layers: PositiveInt = 1
    width: PositiveInt = 192
    vocabulary: PositiveInt = 4000
    row: PositiveInt = 64
    longest: NonNegativeInt = 40  # tokens; training pairs of more are left out (0: none)
    dropout: Rate = 0.1
    label_smoothing: Rate = 0.1
    recipe: Recipe = Recipe("muon", lr=4e-3, warmup=60, weight_decay=0.1, clip_norm=1.0, b2=0.99)
    beams: PositiveInt = 5
    length_penalty: NonNegativeFloat = 1.0
    reverse: bool = False
    batch: int = 32
    steps: int = 900


PRESETS = {
    "offline": Config(width=64, vocabulary=400, row=32),
    "tiny": Config(1, 16, vocabulary=300, row=32, longest=0, beams=2, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return pairs.load("multi30k_en_de", source, c.vocabulary, c.row, c.longest, reverse=c.reverse)


def build(c: Config, splits: Splits) -> Experiment:
    tokens = tokenizer.from_facts(splits.facts.target_tokenizer)
    size = Size(len(tokens), c.encoder_layers, c.width, c.dropout)
    model = Model("net", AttentionGRU(size), inputs=translation.inputs)
    translator = translation.Translator(
        partial(begin, size), tokens, splits.facts.longest_source, c.beams, c.length_penalty
    )
    source = "bentrevett/pytorch-seq2seq, GRU with attention; lower case, spaCy's tokens"
    loss = translation.loss(model, c.label_smoothing)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        evaluators=translation.evaluators(translator, splits.validation, splits.test),
        samples=[translation.samples(translator, splits.test)],
        predictor=translation_predictor.predictor(translator, c.reverse),
        best="validation/bleu_greedy",
        published=None if c.reverse else Published("bleu_lowercase", 28.3, source),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
