"""A U-Net that finds and separates cell nuclei in microscope images.

Family: U-Net
Task: instance segmentation
Data: 2018 Data Science Bowl, 150 fluorescence images of stage 1: 100/20/30; --offline: generated
    cells. Or --data: a folder with images/ and masks/ that number the instances
Published: none for this subset
Headline: test/average_precision

Each pixel is background, the inside or the border of a nucleus; flooding from the insides gives
the nuclei. The baseline is Otsu's threshold and connected areas. These models were trained on a few
images of one kind of microscopy: they are for learning about methods, and not for diagnosis, for
counts on which treatment depends, or for other stains.
"""

from dataclasses import dataclass, replace

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data.sets import instances as sets
from dlcore.models.cnn import Normalisation
from dlcore.models.segmenter import Segmenter
from dlcore.tasks import instances, instances_predictor, instances_samples, segmentation
from dlcore.tasks.map_augmentation import Augmentation
from dlcore.tasks.segmentation import Weighting
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits

AUGMENTATION = Augmentation(
    crop=(128, 128), min_side=0.35, max_side=0.65, any_direction=True, brightness=0.4, contrast=0.3
)


@dataclass(frozen=True)
class Config:
    tile: PositiveInt = 256  # side of the squares that training images are cut into
    smallest: PositiveInt = 16  # found instances of fewer pixels are left out
    widths: tuple[PositiveInt, ...] = (24, 48, 64, 96)
    blocks: tuple[NonNegativeInt, ...] = (1, 1, 1, 1)
    patch: PositiveInt = 2
    norm: Normalisation = "batch"
    weighting: Weighting = "none"
    dice: NonNegativeFloat = 0.5
    augmentation: Augmentation = AUGMENTATION
    ema: Rate = 0.0  # of averaged parameters, to which running statistics of batches do not fit
    recipe: Recipe = Recipe("adamw", lr=3e-3, weight_decay=0.02)
    batch: int = 8
    steps: int = 1500


SMALL = Config(
    tile=64,
    augmentation=replace(AUGMENTATION, crop=(48, 48), min_side=0.6, max_side=0.9),
    widths=(16, 32),
    blocks=(1, 1),
)
PRESETS = {
    "offline": replace(SMALL, steps=400),
    "tiny": replace(SMALL, widths=(4, 8), norm="none", ema=0.9, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return sets.load("nuclei_dsb2018", source, 100, c.tile)


def build(c: Config, splits: Splits) -> Experiment:
    net = Segmenter(c.widths, c.blocks, len(splits.facts.classes), c.patch, c.norm)
    model = Model("net", net, inputs=instances.contrasted)
    weights = segmentation.class_weights(splits.facts.class_pixels, c.weighting)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={
            "net": Objective(segmentation.loss(model, weights, c.dice), c.recipe(c.steps, c.ema))
        },
        augment=c.augmentation(),
        evaluators=instances.evaluators(model, splits, c.smallest),
        samples=[instances_samples.samples("Test images", model, splits, c.smallest)],
        predictor=instances_predictor.predictor(model, splits.facts, c.smallest),
        best="validation/average_precision",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
