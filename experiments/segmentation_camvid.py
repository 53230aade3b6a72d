"""A U-Net that names the class of each pixel of a road scene.

Family: U-Net
Task: semantic segmentation
Data: CamVid, 367/101/233 images, 11 classes, at 240x180, half of the usual size; --offline:
    generated scenes of shapes. Or --data: a folder with images/ and masks/
Published: test mean IoU 0.521 at 480x360 (ENet, 300 epochs, davidtvs/PyTorch-ENet)

Predictions at 240x180 are enlarged and scored against the label maps at 480x360. Published results
read images of twice the size. The baseline is the most frequent class at each position.
"""

from dataclasses import dataclass, replace

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Rate
from dlcore.data.sets import maps
from dlcore.models.cnn import Normalisation
from dlcore.models.segmenter import Segmenter
from dlcore.tasks import image_inputs, segmentation, segmentation_predictor, segmentation_samples
from dlcore.tasks.map_augmentation import Augmentation
from dlcore.tasks.segmentation import Weighting
from dlcore.train import DataSource, Experiment, Model, Objective, Published, Recipe, Splits

AUGMENTATION = Augmentation(crop=(128, 160), min_side=0.4, max_side=1.1)


@dataclass(frozen=True)
class Config:
    size: tuple[PositiveInt, PositiveInt] = (180, 240)
    """height and width to which images of --data are resized"""
    widths: tuple[PositiveInt, ...] = (16, 48, 80, 128)
    blocks: tuple[NonNegativeInt, ...] = (0, 1, 2, 2)
    patch: PositiveInt = 2
    norm: Normalisation = "batch"
    dropout: Rate = 0.1
    weighting: Weighting = "log"  # of the classes in the cross-entropy
    dice: NonNegativeFloat = 0.0  # weight of the Dice loss
    lovasz: NonNegativeFloat = 0.0  # weight of the Lovász-softmax loss
    augmentation: Augmentation = AUGMENTATION
    ema: Rate = 0.0
    """of an average of the parameters, to which running statistics of batches do not fit"""
    recipe: Recipe = Recipe("adamw", lr=3e-3, weight_decay=0.02)
    batch: int = 8
    steps: int = 6000


SMALL = Config(augmentation=Augmentation(crop=(40, 48)), widths=(16, 32), blocks=(0, 1))
PRESETS = {
    "offline": replace(SMALL, steps=600),
    "tiny": replace(
        SMALL, widths=(4, 8), norm="none", dice=0.5, lovasz=0.5, ema=0.9, batch=32, steps=6
    ),
}


def data(c: Config, source: DataSource) -> Splits:
    return maps.load("camvid", source, c.size)


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes
    net = Segmenter(c.widths, c.blocks, len(classes), c.patch, c.norm, c.dropout)
    model = Model("net", net, inputs=image_inputs.signed)
    weights = segmentation.class_weights(splits.facts.class_pixels, c.weighting)
    loss = segmentation.loss(model, weights, c.dice, c.lovasz)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps, c.ema))},
        augment=c.augmentation(),
        evaluators=segmentation.evaluators(model, splits),
        samples=[segmentation_samples.samples("Test images", model, splits.test, classes)],
        predictor=segmentation_predictor.predictor(model, splits.facts),
        best="validation/miou",
        published=Published("miou", 0.521, "ENet, davidtvs/PyTorch-ENet", caveat="at 480x360"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
