"""A recurrent encoder-decoder with attention on Multi30k, German to English.

Family: recurrent encoder-decoder with attention
Task: machine translation
Data: Multi30k task 1 (our builder multi30k_en_de 1.0.0), 29,000/1,014/1,000 (test 2016); --offline: two made-up languages
Published: test BLEU 28.3 by a GRU with attention (bentrevett/pytorch-seq2seq; 20.5 million parameters, lower case, spaCy tokens)

Ours is sacreBLEU of plain text, with its letters as they are and in lower case. --reverse: English to German.
--offline also makes the net smaller.
"""

from dataclasses import dataclass, replace

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data.sets import pairs
from dlcore.models.attention_gru import AttentionGRU, Size, begin
from dlcore.tasks.translation import Translator, translation
from dlcore.train import optim
from dlcore.train.experiment import Experiment


@dataclass(frozen=True)
class Config:
    encoder_layers: PositiveInt = 1
    width: PositiveInt = 192
    pieces: PositiveInt = 4000
    row: PositiveInt = 64
    longest: NonNegativeInt = 40
    dropout: Rate = 0.1
    smoothing: Rate = 0.1
    optimizer: optim.Kind = "muon"
    lr: NonNegativeFloat = 4e-3
    warmup: NonNegativeInt = 60
    decay: NonNegativeFloat = 0.1
    clip: NonNegativeFloat = 1.0
    beams: PositiveInt = 5
    penalty: NonNegativeFloat = 1.0
    reverse: bool = False
    batch: int = 32
    steps: int = 900
    offline: bool = False


TINY = Config(1, width=16, pieces=300, row=32, longest=0, warmup=2, beams=2, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    if c.offline:  # a toy language wants a toy net: no larger than this, so that it is learnt in a minute
        c = replace(c, width=min(c.width, 64), row=min(c.row, 32), pieces=min(c.pieces, 400))
    languages = ("en", "de") if c.reverse else ("de", "en")
    corpus = pairs.made_up() if c.offline else pairs.multi30k(*languages)
    pieces = pairs.joined(corpus, c.pieces)
    size = Size(len(pieces), c.encoder_layers, c.width, c.dropout)
    net = AttentionGRU(size)
    translator = Translator(corpus, pieces, lambda params, *how: begin(size, params, *how), c.beams, c.penalty)
    rate = optim.warmup_cosine(c.lr, c.steps, optim.short_warmup(c.warmup, c.steps))
    return translation(
        net,
        translator,
        optim.make(c.optimizer, rate, decay=c.decay, clip=c.clip, b2=0.99),
        batch=c.batch,
        steps=c.steps,
        row=c.row,
        longest=c.longest,
        smoothing=c.smoothing,
        published=None if c.reverse else 28.3,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
