"""Blood cells found by a detector without anchors, trained from scratch.

Family: CNN
Task: object detection
Data: BCCD 1.0.0 (own builder), 205/87/72 images; --offline: scenes of scikit-learn's digits
Published: mAP 0.903 (Faster R-CNN R101-FPN, Inf. Tech. Control 54(3); IoU presumably 0.5)

A confidence is the value of the class's heat map; `dlcore predict` uses the threshold with the
largest F1 on validation. --data takes a COCO file or folder, or a YOLO folder.
"""

from dataclasses import dataclass, replace
from typing import Annotated

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt, Range, Rate
from dlcore.data.sets import detection as sets
from dlcore.models import detector
from dlcore.tasks import (
    detection,
    detection_evaluators,
    detection_predictor,
    detection_samples,
    image_inputs,
)
from dlcore.tasks.detection_augmentation import Augmentation
from dlcore.train import DataSource, Experiment, Model, Objective, Published, Recipe, Splits

Side = Annotated[int, Range(16)]
CELLS = Augmentation(upside_down=True)


@dataclass(frozen=True)
class Config:
    width: Side = 192  # of the images, in pixels
    height: Side = 144  # of the images, in pixels
    max_boxes: PositiveInt = 32
    scene_objects: PositiveInt = 6
    widths: tuple[PositiveInt, ...] = (48, 96, 128)
    blocks: tuple[PositiveInt, ...] = (1, 2, 2)
    patch: PositiveInt = 4
    box_weight: NonNegativeFloat = 5.0
    augmentation: Augmentation = CELLS
    recipe: Recipe = Recipe("adamw", lr=2e-3, weight_decay=0.02, clip_norm=5.0)
    ema: Rate = 0.995
    batch: int = 16
    steps: int = 1200


SCENES = Augmentation(mirror=False, colour=0.1)  # mirrored digits are no digits
OFFLINE = Config(96, 96, 8, widths=(32, 64, 96), augmentation=SCENES, steps=600)
TINY = replace(OFFLINE, width=32, height=32, max_boxes=2, scene_objects=2)
PRESETS = {
    "offline": OFFLINE,
    "tiny": replace(TINY, widths=(8, 8), blocks=(1, 1), batch=32, steps=6, ema=0.9),
}


def data(c: Config, source: DataSource) -> Splits:
    detector.check(canvas := (c.width, c.height), c.widths, c.blocks, c.patch)
    splits = sets.load("bccd", source, canvas, c.max_boxes, c.scene_objects)
    return sets.with_mosaics(splits) if c.augmentation.mosaic else splits


def build(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes
    net = detector.CentreDetector(c.widths, c.blocks, len(classes), c.patch)
    model = Model("net", net, image_inputs.signed)
    detect = detection.detections(model, len(classes), c.patch)
    loss = detection.loss(model, len(classes), c.patch, c.box_weight)
    source = "Faster R-CNN R101-FPN, Inf. Tech. Control 54(3)"
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(loss, c.recipe(c.steps, c.ema))},
        augment=c.augmentation,
        evaluators=detection_evaluators.evaluators(detect, splits),
        samples=[detection_samples.samples("Test images", detect, splits)],
        predictor=detection_predictor.predictor(detect, splits.facts),
        best="validation/map_50",
        published=Published("map_50", 0.903, source, caveat="IoU presumed"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
