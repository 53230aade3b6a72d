"""A trained model in Python: `dlcore.load(run)`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dlcore.data.facts import Facts
from dlcore.errors import UsageError
from dlcore.export import answers
from dlcore.export.answers import Answered, Input
from dlcore.export.opened import Opened, described, opened
from dlcore.runs.card import Card
from dlcore.runtime import compilation_cache
from dlcore.sharding import Tree
from dlcore.train.experiment import Config, Experiment
from dlcore.train.predictor import (
    Answer,
    Generator,
    Predictor,
    files_per_item,
    reads,
    takes_messages,
    with_options,
)
from dlcore.train.step import State

P = TypeVar("P", Predictor, Generator)


def load(run: str | Path, *, last: bool = False, trust: bool = False) -> TrainedModel:
    """Loads the trained model of a run, which answers inputs of your own.

    The training data are not opened, unless the run's folder lacks facts.json, which describes
    them. Enables JAX's compilation cache.

    Args:
        run: the folder that `dlcore train` printed, or `runs/NAME` for the run with the highest
            number in it.
        last: load the newest checkpoint in place of the best state.
        trust: execute the run's experiment file although you never trained with it.

    Returns:
        A `TrainedModel`, which you call:

            model = dlcore.load("runs/cnn_mnist")
            model("seven.png")                     # {"class": "7", "probability": 0.998, ...}
            model(images)                          # a list of such dicts, of uint8 [n, 28, 28, 1]
            model(["one.png", "two.png"], top=1)
            model.classes, model.params, model.config

        As with a pipeline of transformers, one input gives one answer, a list of inputs a list.

    Raises:
        UsageError: no run is there, or a run for each of several seeds; its experiment file may not
            be executed; its state cannot be read or does not fit the experiment.
    """
    compilation_cache.keep()
    return TrainedModel(opened(described(Path(run), trust), last))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class TrainedModel:
    """A run's experiment and trained state, ready for use: it answers inputs when it is called.

    Called with one input, it returns the answer as a dict such as {"class": "7", ...}; called with
    a list or an array of inputs, or a table, a list of such dicts. A model that generates examples,
    such as a GAN, is used by `generate` instead.

    Attributes:
        opened: the run, its experiment and its state: the best one, or that of the newest
            checkpoint if `load` was called with `last`.
    """

    opened: Opened

    # Any: one input gives a mapping, several give a list, and an array alone cannot tell which.
    def __call__(self, inputs: object, batch: int = answers.BATCH, **options: object) -> Any:
        """Answers inputs with the model.

        Args:
            inputs: for a model of text a string, for others the path of a file, an array of one
                example or Pillow's image; or a list, or an array, of several. Where a model
                takes several files at a time, such as two to compare, one input is a tuple. For
                a model of dialogues a list of messages, such as [{"role": "user", "content":
                "Hello"}], is one input. An array is one example if it has the shape of one, else
                several along axis 0.
            batch: largest number of examples that are computed together.
            options: the flags of `dlcore predict` for this model, such as `top=3`.

        Returns:
            The JSON of `dlcore predict` as a dict; for several inputs, a table, or a file of
            several examples, a list of them.

        Raises:
            UsageError: an input that cannot be read, an option that the model does not have, or a
                model that answers no inputs.
        """
        predictor = self.experiment.predictor
        if not isinstance(predictor, Predictor):
            raise UsageError(f"the model of {self.folder} answers no inputs")
        predictor = _with(predictor, options)
        one, values = _several(predictor, inputs)
        lines = reads(predictor) == "lines"
        made = (_as_input(number, value, lines) for number, value in enumerate(values))
        results = []
        for each in answers.answers(predictor, self.state, made, batch):
            if not isinstance(each, Answered):
                raise UsageError(f"{each.input.name}: {each.error}")
            results.append(each.answer)
        return results[0] if one and len(results) == 1 else results

    def generate(self, count: int, **options: object) -> list[Answer]:
        """Generates examples.

        Args:
            count: the number of examples.
            options: the flags of `dlcore predict` for this model, such as `seed=1`.

        Returns:
            (JSON values, sample) of each; for a model of images, `sample.images` is the picture
            [1, height, width] or [1, height, width, channels].

        Raises:
            UsageError: a model that does not generate, or an option that it does not have or that
                does not fit it.
        """
        predictor = self.experiment.predictor
        if not isinstance(predictor, Generator):
            raise UsageError(f"the model of {self.folder} generates no examples")
        return list(_with(predictor, options).generated(self.state, count))

    @property
    def params(self) -> dict[str, Tree]:
        """{model: parameters}, averaged where the run keeps averages."""
        return self.state.params

    @property
    def state(self) -> State:
        """Step, parameters and extra state such as batch statistics; no optimizer."""
        return self.opened.state

    @property
    def experiment(self) -> Experiment:
        """What the experiment file built: `experiment.models` are the networks."""
        return self.opened.experiment

    @property
    def facts(self) -> Facts:
        """The facts of the training data from which the model was built, such as `classes`."""
        return self.experiment.splits.facts

    @property
    def classes(self) -> list[str]:
        """The names of the classes. UsageError: the data have none."""
        return list(self.facts.classes)

    @property
    def config(self) -> Config:
        """The experiment's `Config`, with the values of this run."""
        return self.opened.config

    @property
    def card(self) -> Card:
        """The run's card.json."""
        return self.opened.card

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.opened.folder

    def __repr__(self) -> str:
        name, step = self.card["experiment"], int(self.state.step)
        return f"<TrainedModel {name} at step {step}, {self.folder}>"


def _with(predictor: P, options: Mapping[str, object]) -> P:
    """The predictor with other options. UsageError: it does not have one of them."""
    usual = predictor.options
    assert dataclasses.is_dataclass(usual)
    assert not isinstance(usual, type)
    known = [field.name for field in dataclasses.fields(usual)]
    if unknown := [name for name in options if name not in known]:
        has = ", ".join(known) or "none"
        raise UsageError(f"this model has no option {unknown[0]!r}: it has {has}")
    return with_options(predictor, dataclasses.replace(usual, **options))


def _several(predictor: Predictor, inputs: object) -> tuple[bool, list[object]]:
    """Whether it is one input, which a table is not, and the inputs as a list."""
    if files_per_item(predictor) > 1 and isinstance(inputs, tuple):
        return True, [inputs]
    if isinstance(inputs, str | Path) or hasattr(inputs, "convert"):
        return reads(predictor) != "table", [inputs]
    mappings = isinstance(inputs, list) and all(isinstance(each, Mapping) for each in inputs)
    if mappings and inputs and takes_messages(predictor):
        return True, [inputs]
    if not hasattr(inputs, "shape"):
        if not isinstance(inputs, Iterable):
            raise UsageError(f"a {type(inputs).__name__} is neither an input nor a list of inputs")
        return False, list(inputs)
    array, read = np.asarray(inputs), getattr(predictor, "item", None)
    try:
        if not callable(read):
            return False, list(array)
        read(array)
    except UsageError:
        return False, list(array)
    return True, [array]


def _as_input(number: int, value: object, lines: bool) -> Input:
    """A value from Python as an input: a string is text for models of text, else a path."""
    name = f"input {number}"
    if value is None:
        raise UsageError(f"{name} is None: leave it out")
    if not isinstance(value, str | Path):
        return Input(name, {}, value=value)
    return Input(name, {}, text=str(value)) if lines else Input(name, {}, (Path(value),))
