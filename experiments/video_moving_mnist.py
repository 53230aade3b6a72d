"""A ConvLSTM, or a convolutional network in one pass, predicts how two digits move on.

Family: recurrent convolutional network
Task: video prediction
Data: moving digits of MNIST 3.0.1 (TFDS), from a fixed seed; --offline: scikit-learn's digits
Published: squared error 29.8 on other videos, a ConvLSTM of 15 million parameters (OpenSTL)

Ten frames are given and ten predicted. The squared error is summed over the pixels of a frame, also
relative to that of copying the last frame; black frames have a ratio of about 0.6.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import dlcore
from dlcore.bounds import PositiveInt, Range
from dlcore.data.sets import video
from dlcore.metrics import structural
from dlcore.models.convlstm import ConvLSTM, Convolutional
from dlcore.tasks import video_prediction, video_predictor
from dlcore.train import DataSource, Experiment, Model, Objective, Published, Recipe, Splits


@dataclass(frozen=True)
class Config:
    network: Literal["convlstm", "convolutional"] = "convlstm"
    width: PositiveInt = 32
    layers: PositiveInt = 2  # of the ConvLSTM
    hidden: PositiveInt = 96  # channels of the translator of the convolutional network
    canvas: Annotated[int, Range(8)] = 64
    frames_in: PositiveInt = 10
    frames_out: Annotated[int, Range(2)] = 10
    test_videos: PositiveInt = 1000
    mirror: bool = False  # half of the training videos; for videos that have no left and right
    recipe: Recipe = Recipe("adamw", lr=2e-3, weight_decay=0.01, clip_norm=1.0)
    batch: int = 16
    steps: int = 500


PRESETS = {
    "convolutional": Config("convolutional", steps=1500),
    "offline": Config(width=16, canvas=32, steps=400),
    "tiny": Config(
        width=8, layers=1, canvas=16, frames_in=4, frames_out=4, test_videos=64, batch=32, steps=6
    ),
}


def data(c: Config, source: DataSource) -> Splits:
    structural.require()
    videos = video.load(source, c.canvas, c.frames_in + c.frames_out, held_out=c.test_videos)
    return videos.with_facts(frames_in=c.frames_in)


def build(c: Config, splits: Splits) -> Experiment:
    net = (
        ConvLSTM(c.frames_out, (c.width,) * c.layers)
        if c.network == "convlstm"
        else Convolutional(c.frames_out, c.width, c.hidden)
    )
    model = Model("net", net, inputs=video_prediction.inputs(c.frames_in))
    return Experiment(
        config=c,
        splits=splits,
        models=[model],
        objectives={"net": Objective(video_prediction.loss(model, c.frames_in), c.recipe(c.steps))},
        augment=video_prediction.augment(c.mirror),
        evaluators=video_prediction.evaluators(model, splits, c.frames_in),
        samples=[video_prediction.samples(model, splits.test, c.frames_in)],
        predictor=video_predictor.predictor(model, splits.facts),
        metrics=video_prediction.METRICS,
        best="validation/squared_error",
        published=Published("squared_error", 29.8, "OpenSTL", "lower", caveat="other videos"),
    )


if __name__ == "__main__":
    dlcore.main(__file__)
