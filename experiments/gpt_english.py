"""A GPT that is pretrained on English of many kinds, to be tuned on dialogues.

Family: Transformer decoder (GPT)
Task: language modelling, text generation
Data: english_text 1.0.0 (own TFDS builder) without its dialogues; --offline: Python's documentation
Published: none comparable
Headline: validation/bits_per_byte

`without` leaves out kinds of text on which models that are tuned from this one are tested. The
vocabulary has the special tokens of the chat template, which are learned in tuning.
"""

from dataclasses import dataclass
from functools import partial

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt, Rate
from dlcore.data import tokenizer
from dlcore.data.sets import dialogues, text
from dlcore.models.decoding import gpt_decoder
from dlcore.models.gpt import GPT, TENSOR, Size
from dlcore.models.gpt_generation import generate
from dlcore.tasks import continuation, dialogue, language_modelling, token_frequencies
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits, TextModel

MUON = Recipe("muon", lr=4e-3, end=0.1, warmup=100, weight_decay=0.1, clip_norm=1.0, b2=0.99)


@dataclass(frozen=True)
class Config:
    vocabulary: PositiveInt = 2048
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    kv_heads: PositiveInt = 2
    width: PositiveInt = 128
    context: PositiveInt = 256
    dropout: Rate = 0.0
    without: tuple[str, ...] = ("sgd_dialogue", "taskmaster4")
    recipe: Recipe = MUON
    prompt: str = "The city"
    temperature: NonNegativeFloat = 0.8
    batch: int = 16
    steps: int = 800


PRESETS = {
    "offline": Config(steps=150),
    "tiny": Config(300, 2, 4, 2, 16, context=32, dropout=0.1, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    load = partial(text.load, "english_text", source, c.context, layout="documents")
    return load(vocabulary=c.vocabulary, specials=dialogues.SPECIALS, without=c.without)


def build(c: Config, splits: Splits) -> Experiment:
    tokens = tokenizer.from_facts(splits.facts.tokenizer)
    shape = (len(tokens), c.context, c.layers, c.heads, c.width, c.dropout)
    size = Size(*shape, rotary=True, kv_heads=c.kv_heads, norm="rms", mlp="swiglu")
    model = Model("net", GPT(size), dialogue.inputs)
    drawn = continuation.bound(generate, size, "net", 200, c.temperature, 0, 0.95)
    samples = partial(language_modelling.samples, f"Temperature {c.temperature}, nucleus 0.95")
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(language_modelling.loss(model), c.recipe(c.steps))},
        evaluators=[token_frequencies.evaluator(splits, token_frequencies.BITS)],
        samples=[samples(drawn, tokens, c.prompt, splits.facts.end, c.context - 1)],
        predictor=continuation.predictor(drawn, tokens, c.context - 1, start=splits.facts.end),
        text_model=TextModel("net", gpt_decoder(size), tokens, splits.facts.end, splits.facts.end),
        best="validation/loss",
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
