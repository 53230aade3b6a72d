"""A GPT on the characters of tiny Shakespeare.

Family: Transformer decoder (GPT)
Task: language modelling, text generation
Data: tiny Shakespeare 1.0.0 (TFDS), nanoGPT's split of 90/10; --offline: the text of the Python documentation
Published: validation loss 1.88 by nanoGPT's CPU recipe, 4 layers of width 128 (karpathy/nanoGPT README, on 20 batches)

Its sizes: --heads 4 --width 128 --context 64 --no-rotary --optimizer adamw --lr 3e-3 --batch 12 --steps 2000 (its own rate: 1e-3)
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
from dlcore.models.gpt import GPT, TENSOR, Size, generate
from dlcore.samples import Text
from dlcore.tasks.language_modelling import next_token
from dlcore.train import optim
from dlcore.train.experiment import Experiment, Published
from dlcore.train.step import Objective


@dataclass(frozen=True)
class Config:
    layers: PositiveInt = 4
    heads: PositiveInt = 6
    width: PositiveInt = 192
    context: PositiveInt = 128
    rotary: bool = True
    dropout: Rate = 0.0
    remat: bool = False
    optimizer: optim.Kind = "muon"
    lr: NonNegativeFloat = 4e-3
    warmup: NonNegativeInt = 100
    decay: NonNegativeFloat = 0.1
    clip: NonNegativeFloat = 1.0
    batch: int = 16
    steps: int = 1200
    temperature: NonNegativeFloat = 0.8
    top_k: NonNegativeInt = 20
    offline: bool = False


OFFLINE = Config(steps=150, offline=True)
TINY = Config(layers=2, heads=2, width=16, context=16, dropout=0.1, warmup=2, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    name, version, text = ("documentation", embedded.documentation_version(), embedded.documentation())
    if not c.offline:
        name, version = "tiny_shakespeare", tfds.version("tiny_shakespeare")
        text = "".join(tfds.text(name, split) for split in ("train", "validation", "test"))
    letters = characters(text)
    tokens = letters.encode(text)
    cut = int(0.9 * len(tokens))
    size = Size(len(letters), c.context, c.layers, c.heads, c.width, c.dropout, c.rotary, c.remat)
    net = GPT(size)

    def logits(params, extra, batch, key, train):
        return apply(net, "net", params, extra, batch["tokens"], key=key, train=train, row=batch["row"])

    def sample(state, key):
        prompt = "\n" if "\n" in letters.symbols else letters.symbols[0]
        start = jnp.tile(letters.encode(prompt), (1, 1))
        drawn = generate(size, state.params["net"], start, key, 1000, c.temperature, c.top_k)
        return [Text(f"Temperature {c.temperature}, top {c.top_k}", letters.decode(drawn[0, 1:]), prompt)]

    rate = optim.warmup_cosine(c.lr, c.steps, optim.short_warmup(c.warmup, c.steps), end=c.lr / 10)
    return Experiment(
        train=windows(name, version, "train", tokens[:cut], c.context, stride=1),
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, batch["tokens"])},
        objectives={"net": Objective(next_token(logits), optim.make(c.optimizer, rate, decay=c.decay, clip=c.clip, b2=0.99))},
        eval={"validation": windows(name, version, "validation", tokens[cut:], c.context, stride=c.context)},
        sample=sample,
        best="validation/loss",
        published=Published("loss", 1.88, "nanoGPT's README, CPU recipe", "lower", "validation"),
        tensor=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
