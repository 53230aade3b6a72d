"""A function that generates images, and its use by `dlcore predict --count`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import jax
import numpy as np
from jax import Array

from dlcore.errors import UsageError
from dlcore.samples import Images
from dlcore.tasks.noise import Draw, NoiseOptions, draw, normal
from dlcore.train.predictor import Answer
from dlcore.train.step import State


class Generate(Protocol):
    """Protocol of functions that generate images, by class where the model has classes.

    (state, key, count, label=None, draw=normal) -> images [count, height, width, channels] in
    [0, 1], and their classes int32 [count] or None; all arguments are positional.
    """

    def __call__(
        self,
        state: State,
        key: Array,
        count: int,
        label: np.ndarray | None = None,
        draw: Draw = normal,
        /,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Generates images.

        Args:
            state: trained parameters.
            key: random key.
            count: number of images.
            label: their classes, int32 [count]; None: all classes in turn.
            draw: (key, shape) -> the noise from which they are generated.

        Returns:
            Images [count, height, width, channels] in [0, 1], and their classes int32 [count] or
            None.
        """


@dataclasses.dataclass(frozen=True)
class GenerationOptions(NoiseOptions):
    """Flags of `dlcore predict` for a generator of images."""

    label: str = ""
    """the class to generate; by default all classes in turn"""


@dataclasses.dataclass(frozen=True)
class ImageGenerator:
    """Generates images for `dlcore predict --count`.

    Attributes:
        generate: (state, key, count, label, draw) -> images and their classes.
        classes: names of the classes of a class-conditional model; () for other models.
        options: flags of `dlcore predict`.
    """

    generate: Generate
    classes: Sequence[str]
    options: GenerationOptions = dataclasses.field(default_factory=GenerationOptions)

    def generated(self, state: State, count: int) -> list[Answer]:
        """Generates images of the class `options.label`, or of all classes in turn.

        With `options.walk` and without a label each class has `walk` images before the next one.

        Args:
            state: trained parameters.
            count: number of images.

        Returns:
            ({"seed"} and "class" where there are classes, the image) of each; the seed is that of
            the options, the same for all.

        Raises:
            UsageError: an unknown class, or a class for a model without classes.
        """
        o, label = self.options, None
        if o.label:
            if o.label not in self.classes:
                there = ", ".join(self.classes) or "none, as it was trained without"
                raise UsageError(f"--label {o.label}: the classes of this model are {there}")
            label = np.full(count, list(self.classes).index(o.label), np.int32)
        elif o.walk and self.classes:  # another class with each point, and none between them
            label = (np.arange(count) // o.walk % len(self.classes)).astype(np.int32)
        images, of = self.generate(state, jax.random.key(o.seed), count, label, draw(o))
        answers: list[Answer] = []
        for number, image in enumerate(images):
            answer: dict[str, object] = {"seed": o.seed}
            if of is not None and self.classes:
                answer["class"] = self.classes[of[number]]
            answers.append((answer, Images(f"Generated, seed {o.seed}", image[None])))
        return answers

    def line(self, answer: Mapping[str, object]) -> str:
        """Formats an answer: the class, where there are classes, and the seed."""
        return ", ".join(f"{name} {answer[name]}" for name in ("class", "seed") if name in answer)
