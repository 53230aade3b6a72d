"""A GPT with grouped-query attention, RMSNorm, SwiGLU and rotary positions, on speeches.

Family: Transformer decoder (GPT)
Task: language modelling, text generation
Data: state_union 1.0.0 (own TFDS builder), 65 speeches; --offline: the Python documentation
Published: none comparable
Headline: test/bits_per_byte

Rows are packed with documents, which do not attend to each other. Bits per byte compare with other
vocabularies (--preset bytes: single bytes). --experts 8: blocks of 8 MLPs, 2 of them for a token.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Range, Rate
from dlcore.data import tokenizer
from dlcore.data.sets import text
from dlcore.models.decoding import gpt_decoder
from dlcore.models.gpt import GPT, TENSOR, Size
from dlcore.models.gpt_generation import generate, likeliest
from dlcore.tasks import continuation, dialogue, language_modelling, mixture, token_frequencies
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits, TextModel

MUON = Recipe("muon", lr=4e-3, end=0.1, warmup=100, weight_decay=0.1, clip_norm=1.0, b2=0.99)


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
    experts: NonNegativeInt = 0
    dropout: Rate = 0.0
    overlap: PositiveInt = 4
    recipe: Recipe = MUON
    prompt: str = "My fellow Americans,"
    temperature: NonNegativeFloat = 0.8
    top_k: NonNegativeInt = 0
    top_p: Annotated[float, Range(0, 1, "(]")] = 0.95
    beams: PositiveInt = 4
    batch: int = 8
    steps: int = 600


PRESETS = {
    "bytes": Config(257, context=512),  # 256 bytes and the token between documents
    "offline": Config(steps=150),
    "tiny": Config(300, 2, 4, 2, 16, context=32, dropout=0.1, beams=2, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    load = partial(text.load, "state_union", source, c.context, layout="documents")
    return load(vocabulary=c.vocabulary, overlap=c.overlap)


def build(c: Config, splits: Splits) -> Experiment:
    tokens = tokenizer.from_facts(splits.facts.tokenizer)
    end = splits.facts.end  # the token between documents
    shape = (c.vocabulary, c.context, c.layers, c.heads, c.width, c.dropout)
    size = Size(*shape, rotary=True, kv_heads=c.kv_heads, norm=c.norm, mlp=c.mlp, experts=c.experts)
    how, beams = (c.temperature, c.top_k, c.top_p), (c.context // 4, c.beams, end)
    drawn = continuation.bound(generate, size, "net", 400, *how)
    best = language_modelling.best_continuation(likeliest, size, "net", *beams)
    model = Model("net", GPT(size), dialogue.inputs)
    title = f"Temperature {c.temperature}, top {c.top_k or 'all'}, nucleus {c.top_p}"
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(mixture.loss(model, size), c.recipe(c.steps))},
        evaluators=[token_frequencies.evaluator(splits, token_frequencies.BITS)],
        samples=[
            language_modelling.samples(title, drawn, tokens, c.prompt, end),
            language_modelling.samples(
                f"Best of {c.beams} beams", best, tokens, c.prompt, end, c.context - c.context // 4
            ),
        ],
        text_model=TextModel("net", gpt_decoder(size), tokens, start=end, end=end),
        predictor=continuation.predictor(drawn, tokens, c.context - 1, start=end),
        best="validation/loss",
        tensor_parallel=TENSOR,
    )


if __name__ == "__main__":
    dlcore.main(__file__)
