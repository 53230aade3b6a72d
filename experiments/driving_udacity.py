"""A convolutional policy that steers as a person did, from the last frames of a camera.

Family: CNN
Task: driving (imitation of steering)
Data: Udacity simulator, 2,027 frames of one drive in time order; --offline: a drawn road
Published: none that is comparable; tutorials drive in the simulator
Headline: test/mse

The first 70 % of the time are for training, the next 10 % for validation, the last 20 % for test.
Baselines: straight on, the mean of training, as in the frame before. `--previous` gives the network
the steering of the frames before, which it then copies. --data: driving_log.csv with its frames.
"""

from dataclasses import dataclass

import dlcore
from dlcore.bounds import NonNegativeFloat, PositiveInt, Probability, Rate
from dlcore.data.sets import drives
from dlcore.models.policy import ConvPolicy
from dlcore.options import RunOptions
from dlcore.tasks import driving, driving_predictor, driving_samples
from dlcore.train import DataSource, Experiment, Model, Objective, Recipe, Splits

RUN = RunOptions(cpu_devices=1)  # a step is too short for several devices


@dataclass(frozen=True)
class Config:
    history: PositiveInt = 3
    previous: bool = False
    widths: tuple[PositiveInt, ...] = (32, 64, 96)
    hidden: PositiveInt = 64
    patch: PositiveInt = 4
    dropout: Rate = 0.3
    mirror: bool = True
    brightness: Probability = 0.3
    contrast: Probability = 0.3
    recipe: Recipe = Recipe("adamw", lr=1e-3, weight_decay=0.05, clip_norm=1.0)
    huber: NonNegativeFloat = 0.0  # error from which the loss is linear; 0: squared error
    ema: Rate = 0.99
    batch: int = 64
    steps: int = 600


PRESETS = {
    "offline": Config(steps=200),
    "tiny": Config(history=2, widths=(4, 8), hidden=8, patch=8, dropout=0.0, batch=32, steps=6),
}


def data(c: Config, source: DataSource) -> Splits:
    return drives.load(source, c.history)


def build(c: Config, splits: Splits) -> Experiment:
    net = ConvPolicy(c.widths, c.hidden, c.patch, c.dropout)
    model = Model("policy", net, inputs=driving.inputs(c.previous))
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"policy": Objective(driving.loss(model, c.huber), c.recipe(c.steps, c.ema))},
        augment=driving.augment(c.mirror, c.brightness, c.contrast),
        evaluators=driving.evaluators(model, splits),
        samples=[driving_samples.samples("Test drive", model, splits)],
        predictor=driving_predictor.predictor(model, splits.facts, c.previous),
        best="validation/mse",
    )


if __name__ == "__main__":
    dlcore.main(__file__)
