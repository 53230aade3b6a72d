"""Contrastive learning without labels (SimCLR) on CIFAR-10, measured by linear probes.

Family: ResNet
Task: learning without labels
Data: CIFAR-10, 45,000/5,000/10,000, JPEG of quality 90; --offline: scikit-learn's digits (8x8)
Published: none at this size; SimCLR's own figures take networks and epochs a hundred times larger
Headline: test/probe_accuracy_1

The encoder learns from two views of each image. Then a logistic regression on its features learns
from 1 % and 10 % of the labels, and another one on features of an untrained network, as a baseline.
`--preset supervised --labels 0.01` (or 0.1) trains the same encoder on the same labels instead.
"""

from dataclasses import dataclass, replace

import dlcore
from dlcore.bounds import PositiveFloat, PositiveInt, Probability
from dlcore.data import few_labels
from dlcore.data.sets import images
from dlcore.models.cnn import Normalisation
from dlcore.models.contrastive import Contrastive
from dlcore.models.resnet import ResNet
from dlcore.tasks import class_calibration, classification, contrastive
from dlcore.tasks.view_augmentation import Views
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits

FRACTIONS = (0.01, 0.1)


@dataclass(frozen=True)
class Config:
    labels: Probability = 0.0  # fraction of the labels to train on; 0: learn without labels
    patch: PositiveInt = 2
    stem: PositiveInt = 48
    widths: tuple[PositiveInt, ...] = (80, 160)
    blocks: tuple[PositiveInt, ...] = (1, 1)
    norm: Normalisation = "batch"
    hidden: PositiveInt = 256  # units of the projection's hidden layer, without --labels
    size: PositiveInt = 64  # units of the projection, without --labels
    temperature: PositiveFloat = 0.2  # of the contrastive loss, without --labels
    views: Views = Views(smallest=0.2)
    recipe: Recipe = Recipe("adamw", lr=2e-3, weight_decay=0.05, warmup=0.1)
    batch: int = 256
    steps: int = 600


PRESETS = {
    "supervised": Config(
        labels=0.1, views=Views(smallest=0.5, jitter=0.5, grey=0.0), batch=64, steps=1500
    ),
    "offline": Config(patch=1, stem=16, widths=(32, 64), views=Views(0.4, flip=False), steps=400),
    "tiny": Config(
        stem=4, widths=(4,), blocks=(1,), norm="none", hidden=8, size=4,
        views=Views(0.5, flip=False), batch=32, steps=6,
    ),
}  # fmt: skip


def data(c: Config, source: DataSource) -> Splits:
    splits = images.load("cifar10_jpeg", source, 45_000, ("image", "label"), offline="digits")
    if c.labels:
        return few_labels.only_few(splits, c.labels)
    return few_labels.with_few(splits, FRACTIONS)


def build(c: Config, splits: Splits) -> Experiment:
    if c.labels:
        return supervised(c, splits)
    classes = splits.facts.classes
    encoder = ResNet(c.widths, c.blocks, 0, c.stem, c.patch, norm=c.norm)
    net = Contrastive(encoder, c.hidden, c.size, len(classes))
    model = Model("net", net, inputs=contrastive.inputs(c.views))
    random = replace(model, name="random")
    loss = contrastive.loss(model, c.temperature)
    probe = contrastive.online_probe(model)
    return Experiment(
        config=c,
        splits=splits,
        models=[model, random],
        objectives={"net": Objective(loss, c.recipe(c.steps))},
        evaluators=contrastive.evaluators(model, random, splits, FRACTIONS),
        samples=[
            contrastive.samples("Test images", model, c.views, splits),
            classification.samples("Test images by the probe", probe, splits.test, classes),
        ],
        predictor=classification.predictor(probe, splits.facts),
    )


def supervised(c: Config, splits: Splits) -> Experiment:
    classes = splits.facts.classes
    net = ResNet(c.widths, c.blocks, len(classes), c.stem, c.patch, norm=c.norm)
    model = Model("net", net, inputs=contrastive.image)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(classification.loss(model), c.recipe(c.steps))},
        augment=c.views.augment,
        evaluators=[class_calibration.evaluator(model, splits)],
        samples=[classification.samples("Test images", model, splits.test, classes)],
        predictor=classification.predictor(model, splits.facts),
        best="validation/accuracy",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
