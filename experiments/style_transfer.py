"""A network that paints photographs in the style of one picture, in a single pass.

Family: convolutional network with a perceptual loss
Task: style transfer
Data: photographs of scikit-learn and scikit-image, style_images and VGG-16's features (own
    builders); --offline: two photographs of scikit-learn, a drawn style, random features
Published: none with these relative losses
Headline: test/loss_over_optimised

Losses on unseen photographs are compared with those of Gatys' optimisation of the same loss, here
by Adam from the photograph. Crops are made, mirrored and recoloured on the host: photographs have
many sizes, and the compiled step has one.
`--preset adain` takes any style: it is trained on other styles, and measured on `--style`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt, Range
from dlcore.data.sets import photographs, styles
from dlcore.models.adain import Decoder
from dlcore.models.style import VGG, Grams, Painter
from dlcore.tasks import any_style, image_inputs, style_comparison, style_methods, style_transfer
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits, Weights


@dataclass(frozen=True)
class Config:
    network: Literal["painter", "adain"] = "painter"
    style: str = "starry_night"  # starry_night, the_scream, shipwreck, or the file of a picture
    style_weight: NonNegativeFloat = 5.0
    width: Annotated[int, Range(4)] = 96
    depth: PositiveInt = 5  # residual blocks of the painter
    features: PositiveInt = 64  # channels of the first block of VGG; 64: pretrained, else random
    crop: Annotated[int, Range(16)] = 128  # pixels; a multiple of 8
    size: Annotated[int, Range(16)] = 256  # longer side of the style and of the test photographs
    iterations: PositiveInt = 100  # of Gatys' optimisation of the first 4 test photographs
    recipe: Recipe = Recipe("adamw", lr=2e-3, clip_norm=1.0)
    batch: int = 4
    steps: int = 1400


PRESETS = {
    "adain": Config("adain", crop=96),
    "offline": Config(width=24, depth=3, features=16, crop=64, size=128, steps=300),
    "tiny": Config(width=8, depth=1, features=4, crop=16, size=32, iterations=3, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    pictures, style = photographs.load(source, c.style, c.crop)
    pretrained = source != "offline" and c.features == 64
    pictures = styles.with_styles(pictures, source, style) if c.network == "adain" else pictures
    return style_transfer.targets(pictures, style, c.size, c.features, pretrained)


def build(c: Config, splits: Splits) -> Experiment:
    vgg = Model("vgg", VGG(c.features), inputs=image_inputs.unit)
    grams = Model("grams", Grams(c.features), inputs=lambda batch, key, train: ())
    perceptual = style_transfer.Perceptual(vgg, grams, c.style_weight)
    if c.network == "adain":
        painter = Model("painter", Decoder(c.width), inputs=any_style.inputs(8 * c.features))
        method = style_methods.any_style(painter, perceptual, splits, c.size)
    else:
        painter = Model("painter", Painter(c.width, c.depth), inputs=image_inputs.unit)
        method = style_methods.one_style(painter, perceptual, splits)
    compared = style_comparison.Comparison(method.paint, perceptual, splits, c.size, c.iterations)
    files = {"vgg": splits.facts.features, "grams": splits.facts.grams}
    return Experiment(
        config=c,
        splits=splits,
        models=[painter, vgg, grams],
        load={name: Weights(Path(file), name) for name, file in files.items()},
        objectives={"painter": Objective(method.loss, c.recipe(c.steps))},
        evaluators=[compared.evaluator()],
        samples=[compared.draw],
        predictor=method.predictor,
        best="validation/loss",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
