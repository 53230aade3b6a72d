"""GPT-2's four sizes and one of 7B: stacked layers, rematerialised, split over many devices. `dlcore plan` says what they take.

Family: Transformer decoder (GPT)
Task: language modelling, text generation
Data: english_text 1.0.0 (own TFDS builder), 15 MB of twelve kinds; --offline: the text of the Python documentation
Published: none with these data

The sizes are those of Radford et al. 2019 (their table 2), and of Touvron et al. 2023 (7B; its embedding is tied here). The text is
far too short for any of them: they are here to be planned, and to be pointed at more text. Byte pairs beyond what the text has are
rows of the embedding that no token reaches.
"""

import dataclasses
from typing import Literal

import jax.numpy as jnp
import numpy as np

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data import tfds
from dlcore.data.sets import embedded
from dlcore.data.source import windows
from dlcore.data.tokens import bpe
from dlcore.models.apply import apply
from dlcore.models.gpt import GPT, TENSOR, Size, generate
from dlcore.options import Flags
from dlcore.samples import Text
from dlcore.tasks.language_modelling import next_token
from dlcore.train import optim
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective

# GPT-2 has 50257 byte pairs; 47 rows more, and every mesh divides them.
SIZES = {
    "tiny": Size(320, 32, 2, 4, 16, rotary=True, norm="rms", mlp="swiglu"),
    "124M": Size(50304, 1024, 12, 12, 768, biases=True),
    "355M": Size(50304, 1024, 24, 16, 1024, biases=True),
    "774M": Size(50304, 1024, 36, 20, 1280, biases=True),
    "1.5B": Size(50304, 1024, 48, 25, 1600, biases=True),
    "7B": Size(32000, 2048, 32, 32, 4096, rotary=True, norm="rms", mlp="swiglu"),
}
FLAGS = Flags(precision="bf16")


@dataclasses.dataclass(frozen=True)
class Config:
    size: Literal["tiny", "124M", "355M", "774M", "1.5B", "7B"] = "124M"
    context: NonNegativeInt = 0
    """tokens of a row; 0 for as many as the size was published with"""
    dropout: Rate = 0.0
    scan: bool = True
    """one compiled block for all layers, parameters stacked"""
    remat: bool = True
    """compute each block again in the backward pass rather than keep what it made"""
    pieces: PositiveInt = 8192
    """byte pairs to learn from the text"""
    lr: NonNegativeFloat = 6e-4
    warmup: NonNegativeInt = 700
    decay: NonNegativeFloat = 0.1
    clip: NonNegativeFloat = 1.0
    batch: int = 512
    steps: int = 10000
    temperature: NonNegativeFloat = 0.8
    prompt: str = "The "
    offline: bool = False


OFFLINE = Config("tiny", pieces=320, lr=4e-3, warmup=20, batch=16, steps=150, offline=True)
TINY = Config("tiny", dropout=0.1, pieces=300, warmup=2, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    if c.offline:
        name, version = "documentation", embedded.documentation_version()
        texts = {split: embedded.documentation(split).split("\n\n") for split in ("train", "validation")}
    else:
        name, version = "english_text", tfds.version("english_text")
        texts = {split: tfds.columns(name, split, ["text"])["text"] for split in ("train", "validation")}
    size = SIZES[c.size]
    size = dataclasses.replace(size, context=c.context or size.context, dropout=c.dropout, remat=c.remat, scan=c.scan)
    # The documentation has fewer pairs to merge.
    pieces = bpe(texts["train"], min(c.pieces, size.vocabulary, 4000 if c.offline else size.vocabulary))
    tokens = {split: np.concatenate(pieces.encode_all([f"{t}\n\n" for t in told])) for split, told in texts.items()}
    net = GPT(size)

    def logits(params, extra, batch, key, train):
        return apply(net, "net", params, extra, batch["tokens"], key=key, train=train, row=batch["row"])

    def sample(state, key):
        start = jnp.asarray(pieces.encode(c.prompt))[None]
        drawn = generate(size, state.params["net"], start, key, min(400, 8 * size.context), c.temperature)
        # A row of the embedding that stands for no byte pair has no text.
        drawn = np.minimum(np.asarray(drawn[0, start.shape[1] :]), len(pieces) - 1)
        return [Text(f"Temperature {c.temperature}", pieces.decode(drawn), c.prompt)]

    rate = optim.warmup_cosine(c.lr, c.steps, optim.short_warmup(c.warmup, c.steps), end=c.lr / 10)
    return Experiment(
        train=windows(name, version, "train", tokens["train"], size.context, stride=1),
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, batch["tokens"])},
        objectives={"net": Objective(next_token(logits), optim.make("adamw", rate, decay=c.decay, clip=c.clip, b2=0.95))},
        eval={"validation": windows(name, version, "validation", tokens["validation"], size.context, stride=size.context)},
        sample=sample,
        best="validation/loss",
        tensor=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
