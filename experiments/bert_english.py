"""A BERT that learns to fill in masked pieces of English: what the fine-tuning pages start from.

Family: Transformer encoder (BERT)
Task: masked language modelling
Data: english_text 1.0.0 (own TFDS builder), 15 MB of twelve kinds; --offline: the text of the Python documentation
Published: none comparable

No text of sentence_polarity and none of clinc_oos was put into the corpus. The pieces are 8,192 byte pairs of its training part.
assets/bert_english.npz is this page's run of seed 0 (3,600 steps, validation loss 3.216, perplexity 25), made with
`dlcore export RUN FILE.npz --half`; assets/bert_english.json is its pieces (`Pieces.save`).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Probability, Rate
from dlcore.data import tfds
from dlcore.data.sets import embedded
from dlcore.data.sets.sentences import SPECIALS, lines, packed
from dlcore.data.source import arrays
from dlcore.data.tokens import bpe
from dlcore.kernels.masking import chosen_places, corrupted
from dlcore.models.apply import apply
from dlcore.models.bert import TENSOR, Masked
from dlcore.models.encoder import Size
from dlcore.samples import Table
from dlcore.train import optim
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective, Out, mean


@dataclass(frozen=True)
class Config:
    layers: PositiveInt = 2
    heads: PositiveInt = 4
    width: PositiveInt = 128
    length: PositiveInt = 64
    pieces: PositiveInt = 8192
    masked: Probability = 0.15
    dropout: Rate = 0.0
    optimizer: optim.Kind = "muon"
    lr: NonNegativeFloat = 4e-3
    warmup: NonNegativeInt = 100
    decay: NonNegativeFloat = 0.1
    batch: int = 64
    steps: int = 3600
    offline: bool = False


OFFLINE = Config(steps=200, offline=True)
TINY = Config(1, 2, 16, length=16, pieces=300, dropout=0.1, optimizer="adamw", warmup=2, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    count_of_pieces = min(c.pieces, 4000) if c.offline else c.pieces  # the documentation has fewer pairs to merge
    size = Size(c.layers, c.heads, c.width, dropout=c.dropout)
    net, count, ordinary = Masked(count_of_pieces, size), max(1, round(c.masked * c.length)), len(SPECIALS)
    if c.offline:
        name, version = "documentation", embedded.documentation_version()
        texts = {split: lines([embedded.documentation(split)]) for split in ("train", "validation")}
    else:
        name, version = "english_text", tfds.version("english_text")
        texts = {split: lines(tfds.columns(name, split, ["text"])["text"]) for split in ("train", "validation")}
    pieces = bpe(texts["train"], count_of_pieces, SPECIALS)
    splits = {split: arrays(name, version, split, {"tokens": packed(pieces, told, c.length)}) for split, told in texts.items()}

    def guess(params, extra, batch, key, train):
        """Which pieces are hidden, what is said in their place, and the state afterwards."""
        tokens, row = batch["tokens"], batch["row"]
        places = chosen_places(jax.random.fold_in(key, 0), row, tokens >= ordinary, count)
        shown = corrupted(jax.random.fold_in(key, 1), row, tokens, places, pieces.special("[mask]"), ordinary, count_of_pieces)
        told, extra = apply(net, "net", params, extra, shown, places, key=key, train=train, row=row)
        return shown, places, told, extra

    def fill(params, extra, batch, key, train):
        _, places, told, extra = guess(params, extra, batch, key, train)
        truth = jnp.take_along_axis(batch["tokens"], places, 1)
        counts = (truth >= ordinary) * batch["mask"][:, None]
        told = told.astype(jnp.promote_types(told.dtype, jnp.float32))
        loss = optax.softmax_cross_entropy_with_integer_labels(told, truth)
        return Out(mean(loss, counts), {"accuracy": mean(told.argmax(-1) == truth, counts)}, extra)

    def sample(state, key):
        tokens = splits["validation"].arrays["tokens"][:40]
        batch = {"tokens": jnp.asarray(tokens), "row": jnp.arange(len(tokens))}
        shown, places, told = map(np.asarray, guess(state.params, {}, batch, key, False)[:3])
        p = np.exp(told - told.max(-1, keepdims=True))
        best, sure = told.argmax(-1), p.max(-1) / p.sum(-1)

        def line(i):
            at = places[i, middle := count // 2]  # one place a row, with text on both sides
            seen = [pieces.decode(part) for part in (shown[i, :at], shown[i, at + 1 :])]
            hidden, said = (pieces.decode(np.array([piece])) for piece in (tokens[i, at], best[i, middle]))
            return f"{seen[0]} ____{seen[1]}", hidden, said, round(float(sure[i, middle]), 3)

        head = ("text (other masked pieces are left out)", "hidden", "best guess", "probability")
        return [Table("One masked piece of each text", head, tuple(line(i) for i in range(len(tokens))))]

    rate = optim.warmup_cosine(c.lr, c.steps, optim.short_warmup(c.warmup, c.steps))
    return Experiment(
        train=splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, batch["tokens"], jnp.zeros_like(batch["tokens"][:, :1]))},
        objectives={"net": Objective(fill, optim.make(c.optimizer, rate, decay=c.decay, clip=1.0, b2=0.99))},
        eval={"validation": splits["validation"]},
        sample=sample,
        best="validation/loss",
        tensor=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
