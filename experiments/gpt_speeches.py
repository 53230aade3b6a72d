"""A GPT of later design on byte pairs: presidents' speeches to the Congress, packed so that no document sees another.

Family: Transformer decoder (GPT)
Task: language modelling, text generation
Data: state_union 1.0.0 (own TFDS builder), 65 speeches, split by speech; --offline: paragraphs of the Python documentation
Published: none comparable

Grouped-query attention, RMSNorm, SwiGLU and rotary positions. Bits per byte compare with any vocabulary, a loss per token does not.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Range, Rate
from dlcore.data import tfds
from dlcore.data.packing import pack
from dlcore.data.sets import embedded
from dlcore.data.source import arrays
from dlcore.data.tokens import bpe
from dlcore.models.apply import apply
from dlcore.models.gpt import GPT, TENSOR, Size, generate, likeliest
from dlcore.samples import Text
from dlcore.tasks.language_modelling import next_token
from dlcore.train import optim
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective

END = "<|end|>"  # stands before each document, too: what a text begins with is learnt as well


@dataclass(frozen=True)
class Config:
    vocabulary: PositiveInt = 2048
    layers: PositiveInt = 4
    heads: PositiveInt = 6
    kv_heads: PositiveInt = 2
    width: PositiveInt = 192
    context: PositiveInt = 128
    norm: Literal["layer", "rms"] = "rms"
    mlp: Literal["gelu", "swiglu"] = "swiglu"
    dropout: Rate = 0.0
    optimizer: optim.Kind = "muon"
    lr: NonNegativeFloat = 4e-3
    warmup: NonNegativeInt = 100
    decay: NonNegativeFloat = 0.1
    clip: NonNegativeFloat = 1.0
    overlap: PositiveInt = 4
    batch: int = 8
    steps: int = 600
    prompt: str = "My fellow Americans,"
    temperature: NonNegativeFloat = 0.8
    top_k: NonNegativeInt = 0
    top_p: Annotated[float, Range(0, 1, "(]")] = 0.95
    beams: PositiveInt = 4
    offline: bool = False


OFFLINE = Config(steps=150, offline=True)
TINY = Config(300, layers=2, heads=4, width=16, context=32, dropout=0.1, warmup=2, beams=2, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    if c.offline:
        name, version = "documentation", embedded.documentation_version()
        texts = {split: embedded.documentation(split).split("\n\n") for split in ("train", "validation")}
    else:
        name, version = "state_union", tfds.version("state_union")
        texts = {split: tfds.columns(name, split, ["text"])["text"] for split in ("train", "validation", "test")}
    pieces = bpe(texts["train"], c.vocabulary, [END])
    end, bytes_of = pieces.special(END), pieces.bytes().astype(np.float32)
    size = Size(c.vocabulary, c.context, c.layers, c.heads, c.width, c.dropout, True, False, c.kv_heads, c.norm, c.mlp)
    net = GPT(size)

    def rows(split, stride):
        documents = [np.concatenate([[end], tokens, [end]]) for tokens in pieces.encode_all(texts[split])]
        packed = pack(documents, c.context, stride)
        return arrays(name, version, split, {**packed, "bytes": bytes_of[packed["targets"]]})

    def logits(params, extra, batch, key, train):
        places = {"segment": batch["segment"], "position": batch["position"]}
        return apply(net, "net", params, extra, batch["tokens"], **places, key=key, train=train, row=batch["row"])

    def sample(state, key):
        params, prompt = state.params["net"], jnp.concatenate([jnp.array([end]), pieces.encode(c.prompt)])[None]
        drawn = generate(size, params, prompt, key, 400, c.temperature, c.top_k, c.top_p)[0, prompt.shape[1] :]
        best = jax.device_get(likeliest(size, params, prompt, c.context // 4, c.beams, end)[0])
        how = f"Temperature {c.temperature}, top {c.top_k or 'all'}, nucleus {c.top_p}"
        found = Text(f"Best of {c.beams} beams", pieces.decode(best[0, 0]), c.prompt)
        return [Text(how, pieces.decode(drawn), c.prompt), found]

    rate = optim.warmup_cosine(c.lr, c.steps, optim.short_warmup(c.warmup, c.steps), end=c.lr / 10)
    return Experiment(
        train=rows("train", max(1, c.context // c.overlap)),
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, batch["tokens"])},
        objectives={"net": Objective(next_token(logits), optim.make(c.optimizer, rate, decay=c.decay, clip=c.clip, b2=0.99))},
        eval={split: rows(split, c.context) for split in texts if split != "train"},
        sample=sample,
        best="validation/loss",
        tensor=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
