"""A GPT on the characters of tiny Shakespeare.

Family: Transformer decoder (GPT)
Task: language modelling, text generation
Data: tiny Shakespeare 1.0.0 (TFDS), split 90/10; --offline: text of the Python documentation
Published: validation loss 1.88, nanoGPT's CPU recipe (its README, on 20 batches)

--preset nanogpt has the sizes of nanoGPT's recipe (its own learning rate is 1e-3). Its
recipe for a GPU (not run here; 1.4697 in its README, with dropout of attention weights too, which
this network lacks): --preset accelerator --precision bf16.
"""

from dataclasses import dataclass, replace

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data import tokenizer
from dlcore.data.sets import text
from dlcore.models.decoding import gpt_decoder
from dlcore.models.gpt import GPT, TENSOR, Size
from dlcore.models.gpt_generation import generate
from dlcore.options import DataSource
from dlcore.tasks import continuation, language_modelling
from dlcore.train import Experiment, Model, Objective, Published, Recipe, Splits, TextModel

MUON = Recipe("muon", lr=4e-3, end=0.1, warmup=100, weight_decay=0.1, clip_norm=1.0, b2=0.99)


@dataclass(frozen=True)
class Config:
    layers: PositiveInt = 4
    heads: PositiveInt = 6
    width: PositiveInt = 192
    context: PositiveInt = 128
    rotary: bool = True
    dropout: Rate = 0.0
    remat: bool = False
    recipe: Recipe = MUON
    temperature: NonNegativeFloat = 0.8
    top_k: NonNegativeInt = 20
    batch: int = 16
    steps: int = 1200


ADAMW = Recipe("adamw", lr=3e-3, end=0.1, warmup=100, weight_decay=0.1, clip_norm=1.0, b2=0.99)
PRESETS = {
    "nanogpt": Config(
        heads=4, width=128, context=64, rotary=False, recipe=ADAMW, batch=12, steps=2000
    ),
    "accelerator": Config(
        6, 6, 384, 256, False, 0.2, recipe=replace(ADAMW, lr=1e-3), batch=64, steps=5000
    ),
    "offline": Config(steps=150),
    "tiny": Config(2, 2, 16, context=16, dropout=0.1, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return text.load("tiny_shakespeare", source, c.context)


def build(c: Config, splits: Splits) -> Experiment:
    tokens = tokenizer.from_facts(splits.facts.tokenizer)
    size = Size(len(tokens), c.context, c.layers, c.heads, c.width, c.dropout, c.rotary, c.remat)
    model = Model("net", GPT(size), inputs=lambda batch, key, train: batch["tokens"])
    how = (c.temperature, c.top_k)
    continued = continuation.bound(generate, size, "net", 1000, *how)
    title = f"Temperature {c.temperature}, top {c.top_k}"
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(language_modelling.loss(model), c.recipe(c.steps))},
        samples=[language_modelling.samples(title, continued, tokens)],
        predictor=continuation.predictor(continued, tokens, c.context - 1),
        text_model=TextModel("net", gpt_decoder(size), tokens),
        best="validation/loss",
        published=Published("loss", 1.88, "nanoGPT's README, CPU recipe", "lower", "validation"),
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
