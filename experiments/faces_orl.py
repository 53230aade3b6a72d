"""Convolutional networks that tell whether two photographs show the same person, on the ORL faces.

Family: CNN
Task: face verification
Data: ORL database of faces (AT&T), 40 people x 10 images; --offline: drawn faces of 20 people
Published: none with this protocol; closed-set figures that are quoted for these faces are not
    comparable
Headline: test/eer

The copy at hand (`dlcore/data/builders/orl_faces.py`) has two people who are not of the database.
Five folds of 32 people to learn from and 8 never seen, in one program: a network for each fold.
Test metrics are means over the folds, of all pairs of unseen people. --data: a folder per person.
They come at the end: earlier ones would choose a state by the people that it is tested on. The
settings were chosen on the same folds.
"""

from dataclasses import dataclass, replace
from typing import Annotated

import dlcore
from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Range, Rate
from dlcore.data.sets import faces
from dlcore.models.embedding import ConvEmbedder, Verifiers
from dlcore.options import RunOptions
from dlcore.tasks import image_inputs, verification, verification_predictor, verification_samples
from dlcore.tasks.view_augmentation import Views
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits

RUN = RunOptions(cpu_devices=1)  # a step is too short for several devices
VIEWS = Views(smallest=0.65, ratio=1.1, rotation=10.0, jitter=1.0, erase=12)


@dataclass(frozen=True)
class Config:
    folds: Annotated[int, Range(2)] = 5
    held_out: NonNegativeInt = 0  # people of a fold of the published set; 0: all, divided by folds
    height: PositiveInt = 48
    width: PositiveInt = 40  # of the images, in pixels
    neighbourhood: NonNegativeFloat = 0.0  # pixels over which light is levelled; 0: not levelled
    widths: tuple[PositiveInt, ...] = (24, 48, 96)
    size: PositiveInt = 64  # units of the vector of an image
    patch: PositiveInt = 2
    dropout: Rate = 0.2
    mirror: bool = True  # in evaluation an image and its reflection count as one
    shifts: NonNegativeInt = 2  # pixels; in evaluation an image counts with its moved copies
    loss: verification.Kind = "arcface"
    margin: NonNegativeFloat = 0.3
    scale: PositiveFloat = 16.0
    views: Views = VIEWS
    recipe: Recipe = Recipe("adamw", lr=2e-3, weight_decay=0.05, clip_norm=1.0)
    ema: Rate = 0.98
    batch: int = 64
    steps: int = 800


PRESETS = {
    "offline": Config(steps=300),
    "tiny": Config(
        folds=2, height=16, width=16, widths=(4, 8), size=8, views=replace(VIEWS, erase=4),
        batch=32, steps=6,
    ),
}  # fmt: skip


def data(c: Config, source: DataSource) -> Splits:
    return faces.load("orl_faces", source, (c.height, c.width), c.folds, c.held_out)


def build(c: Config, splits: Splits) -> Experiment:
    people, folds = splits.facts.people, len(splits.facts.held_out)
    embedder = ConvEmbedder(c.widths, c.size, c.patch, c.dropout)
    net = Verifiers(folds, len(people), embedder, c.mirror, c.shifts)
    model = Model("nets", net, inputs=image_inputs.standardised(c.neighbourhood))
    loss = verification.loss(model, c.loss, c.margin, c.scale)
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"nets": Objective(loss, c.recipe(c.steps, c.ema))},
        augment=c.views.augment,
        evaluators=verification.evaluators(model, splits.test),
        samples=[verification_samples.samples("Unseen people", model, splits.test)],
        predictor=verification_predictor.predictor(model, splits.facts),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
