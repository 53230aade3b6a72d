"""GPT-2 in its four sizes and a GPT of 7B: stacked layers, rematerialised, for many devices.

Family: Transformer decoder (GPT)
Task: language modelling, text generation
Data: english_text 1.0.0 (own TFDS builder), 15 MB; --offline: text of the Python documentation
Published: none with these data

`dlcore plan` forecasts their memory and speed. Sizes: Radford et al. 2019 (table 2), Touvron et al.
2023 (7B, with a tied embedding). The text is too short for them. --experts 8: 2 of 8 per token.
"""

import dataclasses

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data import tokenizer
from dlcore.data.sets import text
from dlcore.models import gpt_sizes
from dlcore.models.decoding import gpt_decoder
from dlcore.models.gpt import GPT, TENSOR, Size
from dlcore.models.gpt_generation import generate
from dlcore.options import RunOptions
from dlcore.tasks import continuation, language_modelling, mixture
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits, TextModel

RUN = RunOptions(precision="bf16")
ADAMW = Recipe("adamw", lr=6e-4, end=0.1, warmup=700, weight_decay=0.1, clip_norm=1.0, b2=0.95)


@dataclasses.dataclass(frozen=True)
class Config:
    size: gpt_sizes.Name = "124M"  # of the published sizes, by their parameters
    context: NonNegativeInt = 0
    """tokens of a row (0: those of the published size)"""
    experts: NonNegativeInt = 0
    dropout: Rate = 0.0
    scan: bool = True
    """compile one block for all layers, with stacked parameters"""
    remat: bool = True
    """recompute the activations of each block in the backward pass"""
    vocabulary: PositiveInt = 8192
    """largest number of tokens: bytes, and byte pairs that are learned from the text"""
    recipe: Recipe = ADAMW
    batch: int = 512
    steps: int = 10000
    temperature: NonNegativeFloat = 0.8
    prompt: str = "The "


SMALL = dataclasses.replace(ADAMW, lr=4e-3, warmup=20)
PRESETS = {
    "offline": Config("tiny", vocabulary=320, recipe=SMALL, batch=16, steps=150),
    "tiny": Config("tiny", dropout=0.1, vocabulary=300, batch=32, steps=6),
}


def size_of(c: Config) -> Size:
    size = gpt_sizes.SIZES[c.size]
    size = dataclasses.replace(size, context=c.context or size.context, experts=c.experts)
    return dataclasses.replace(size, dropout=c.dropout, remat=c.remat, scan=c.scan)


def data(c: Config, source: DataSource) -> Splits:
    size = size_of(c)
    vocabulary = min(c.vocabulary, size.vocabulary)
    return text.load("english_text", source, size.context, vocabulary=vocabulary)


def build(c: Config, splits: Splits) -> Experiment:
    size = size_of(c)
    tokens = tokenizer.from_facts(splits.facts.tokenizer)
    model = Model("net", GPT(size), inputs=lambda batch, key, train: batch["tokens"])
    length = min(400, 8 * size.context)
    continued = continuation.bound(generate, size, "net", length, c.temperature)
    title = f"Temperature {c.temperature}"
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(mixture.loss(model, size), c.recipe(c.steps))},
        samples=[language_modelling.samples(title, continued, tokens, c.prompt)],
        predictor=continuation.predictor(continued, tokens, size.context - 1),
        text_model=TextModel("net", gpt_decoder(size), tokens),
        best="validation/loss",
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
