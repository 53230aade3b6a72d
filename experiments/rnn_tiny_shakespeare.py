"""A recurrent network on the characters of tiny Shakespeare, by truncated backpropagation with a carry.

Family: Recurrent network (Elman, LSTM, GRU)
Task: language modelling, text generation
Data: tiny Shakespeare 1.0.0 (TFDS), nanoGPT's split of 90/10; --offline: the text of the Python documentation
Published: validation loss 1.88 by nanoGPT's CPU recipe, a Transformer (karpathy/nanoGPT README, on 20 batches)

A window is `chunks` x `context` tokens: the state goes through all of it, the gradient (with --truncate) only through `context`.
"""

from dataclasses import dataclass

import jax.numpy as jnp

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data import tfds
from dlcore.data.sets import embedded
from dlcore.data.source import windows
from dlcore.data.tokens import characters
from dlcore.models.apply import apply
from dlcore.models.rnn import RNN, Cell, CharRNN, generate
from dlcore.samples import Text
from dlcore.tasks.language_modelling import next_token
from dlcore.train import optim
from dlcore.train.experiment import Experiment, Published
from dlcore.train.step import Objective


@dataclass(frozen=True)
class Config:
    cell: Cell = "lstm"
    layers: PositiveInt = 1
    width: PositiveInt = 320
    context: PositiveInt = 64
    chunks: PositiveInt = 2
    truncate: bool = True
    dropout: Rate = 0.0
    optimizer: optim.Kind = "muon"
    lr: NonNegativeFloat = 5e-2
    warmup: NonNegativeInt = 50
    decay: NonNegativeFloat = 0.1
    clip: NonNegativeFloat = 1.0
    batch: int = 16
    steps: int = 1500
    temperature: NonNegativeFloat = 0.8
    top_k: NonNegativeInt = 20
    offline: bool = False


OFFLINE = Config(steps=250, offline=True)
TINY = Config(layers=2, width=16, context=8, chunks=2, dropout=0.1, warmup=2, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    name, version, text = ("documentation", embedded.documentation_version(), embedded.documentation())
    if not c.offline:
        name, version = "tiny_shakespeare", tfds.version("tiny_shakespeare")
        text = "".join(tfds.text(name, split) for split in ("train", "validation", "test"))
    letters = characters(text)
    tokens = letters.encode(text)
    cut, window = int(0.9 * len(tokens)), c.context * c.chunks
    net = CharRNN(RNN(c.cell, c.width, c.layers, dropout=c.dropout), len(letters))

    def logits(params, extra, batch, key, train):
        more = {"cut": c.context if c.truncate else 0, "train": train, "row": batch["row"]}
        (y, _), extra = apply(net, "net", params, extra, batch["tokens"], key=key, **more)
        return y, extra

    def sample(state, key):
        prompt = "\n" if "\n" in letters.symbols else letters.symbols[0]
        start = jnp.tile(letters.encode(prompt), (1, 1))
        drawn = generate(net, state.params["net"], start, key, 1000, c.temperature, c.top_k)
        return [Text(f"Temperature {c.temperature}, top {c.top_k}", letters.decode(drawn[0, 1:]), prompt)]

    rate = optim.warmup_cosine(c.lr, c.steps, optim.short_warmup(c.warmup, c.steps), end=c.lr / 100)
    return Experiment(
        train=windows(name, version, "train", tokens[:cut], window, stride=1),
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, batch["tokens"])},
        objectives={"net": Objective(next_token(logits), optim.make(c.optimizer, rate, decay=c.decay, clip=c.clip, b2=0.99))},
        eval={"validation": windows(name, version, "validation", tokens[cut:], window, stride=window)},
        sample=sample,
        best="validation/loss",
        published=Published("loss", 1.88, "nanoGPT's README, CPU recipe of a Transformer", "lower", "validation"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
