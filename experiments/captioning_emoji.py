"""A convolutional encoder and an attention decoder name emoji, or describe drawn scenes.

Family: encoder-decoder with attention
Task: image captioning
Data: Noto Emoji with Unicode names (own builder), 1,258/169/178; --offline: drawn scenes
Published: none on these captions
Headline: test/cider

The splits of the emoji are ours. Most of their words occur once, and words outside the vocabulary
are never generated. Scenes are described in full; no caption of the test scenes occurs in training.
"""

from dataclasses import dataclass
from typing import Annotated

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Range, Rate
from dlcore.data.sets import captions
from dlcore.models.captioning import Captioner, DecoderKind, Size
from dlcore.tasks import captioning, captioning_predictor, image_augmentation
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits


@dataclass(frozen=True)
class Config:
    decoder: DecoderKind = "gru"
    width: Annotated[int, Range(8)] = 128
    layers: PositiveInt = 2  # of the Transformer
    heads: PositiveInt = 4
    size: Annotated[int, Range(16)] = 72  # pixels; a multiple of 8
    dropout: Rate = 0.3
    label_smoothing: Rate = 0.1
    max_shift: NonNegativeInt = 4
    rarest: PositiveInt = 1  # occurrences from which a word is in the vocabulary
    beams: PositiveInt = 3
    length_penalty: NonNegativeFloat = 0.6
    recipe: Recipe = Recipe("adamw", lr=1e-3, weight_decay=0.05, clip_norm=1.0)
    batch: int = 32
    steps: int = 1200


PRESETS = {
    "transformer": Config("transformer"),
    "offline": Config(width=64, size=48, dropout=0.0, label_smoothing=0.0, max_shift=2, steps=1500),
    "tiny": Config(width=16, layers=1, heads=2, size=24, beams=2, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    captioning.check(c.decoder, c.width, c.heads)
    return captions.load(source, c.size, c.rarest)


def build(c: Config, splits: Splits) -> Experiment:
    words = splits.facts.vocabulary
    size = Size(len(words), splits.facts.longest, c.width, c.decoder, c.layers, c.heads, c.dropout)
    model = Model("net", Captioner(size), inputs=captioning.inputs)
    describer = captioning.Describer(size, words, c.beams, c.length_penalty, rarest=c.rarest)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(captioning.loss(model, c.label_smoothing), c.recipe(c.steps))},
        augment=image_augmentation.shift_on_white(c.max_shift) if c.max_shift else None,
        evaluators=captioning.evaluators(describer, splits),
        samples=[captioning.samples(describer, splits.test)],
        predictor=captioning_predictor.predictor(describer, splits.facts),
        best="validation/cider_greedy",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
