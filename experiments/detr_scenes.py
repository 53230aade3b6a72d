"""Digits in scenes found as a set: queries of a Transformer, assigned by the Hungarian algorithm.

Family: Transformer
Task: object detection
Data: scenes of scikit-learn's digits, 600/120/120 images with exact boxes
Published: none
Headline: test/map_50

The task of detection_bccd with another network and loss. --data: COCO files, or a YOLO folder.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import dlcore
from dlcore.bounds import PositiveInt, Range, Rate
from dlcore.data.sets import detection as sets
from dlcore.models import detector
from dlcore.models.set_detector import SetDetector
from dlcore.tasks import (
    detection_evaluators,
    detection_predictor,
    detection_samples,
    image_inputs,
    set_detection,
)
from dlcore.tasks.detection_augmentation import Augmentation
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits

Side = Annotated[int, Range(16)]
SHIFTS = Augmentation(0.8, 1.25, mosaic=0.0, mirror=False, colour=0.1)


@dataclass(frozen=True)
class Config:
    width: Side = 96  # of the images, in pixels
    height: Side = 96  # of the images, in pixels
    max_boxes: PositiveInt = 6
    scene_objects: PositiveInt = 6
    widths: tuple[PositiveInt, ...] = (64, 96)
    blocks: tuple[PositiveInt, ...] = (2, 2)
    patch: PositiveInt = 8
    grid: PositiveInt = 5
    layers: PositiveInt = 3
    heads: PositiveInt = 4
    features: PositiveInt = 96  # units of the decoder's vectors
    augmentation: Augmentation = SHIFTS
    recipe: Recipe = Recipe("adamw", lr=1e-3, weight_decay=0.02, clip_norm=1.0)
    ema: Rate = 0.995
    batch: int = 32
    steps: int = 3000


TINY = Config(32, 32, 2, 2, widths=(8, 8), blocks=(1, 1), grid=2, layers=2, features=16)
PRESETS = {"tiny": replace(TINY, steps=6, ema=0.9)}


def data(c: Config, source: DataSource) -> Splits:
    objects = 0 if isinstance(source, Path) else c.scene_objects
    boxes = max(c.max_boxes, objects) * (4 if c.augmentation.mosaic else 1)
    set_detection.check(c.grid, boxes, c.features, c.heads)
    detector.check(canvas := (c.width, c.height), c.widths, c.blocks, c.patch)
    splits = sets.load("digit_scenes", source, canvas, c.max_boxes, c.scene_objects)
    return sets.with_mosaics(splits) if c.augmentation.mosaic else splits


def build(c: Config, splits: Splits) -> Experiment:
    classes = len(splits.facts.classes)
    queries, decoder = c.grid, (c.layers, c.heads, c.features)
    net = SetDetector(c.widths, c.blocks, classes, c.patch, 8, queries, *decoder)
    model = Model("net", net, image_inputs.signed)
    detect = set_detection.detections(model, classes)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(set_detection.loss(model, classes), c.recipe(c.steps, c.ema))},
        augment=c.augmentation,
        evaluators=detection_evaluators.evaluators(detect, splits),
        samples=[detection_samples.samples("Test scenes", detect, splits)],
        predictor=detection_predictor.predictor(detect, splits.facts),
        best="validation/map_50",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
