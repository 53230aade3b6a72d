"""Translations of a user's own pictures from one style to the other."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jax import Array
from PIL import Image

from dlcore.data.facts import Facts
from dlcore.data.own import image_decoding
from dlcore.samples import Images
from dlcore.tasks.image_inputs import to_signed
from dlcore.train.model import Model
from dlcore.train.predictor import Answer
from dlcore.train.step import State


@dataclasses.dataclass(frozen=True)
class TranslationOptions:
    """Flags of `dlcore predict` for a translator of pictures."""

    direction: Literal["to_b", "to_a"] = "to_b"
    """which style is made: to_b the second one, to_a the first one"""


@dataclasses.dataclass(frozen=True)
class TranslationPredictor:
    """Translates a user's pictures into the style that `options.direction` names.

    Attributes:
        to_b: maps pictures [batch, height, width, c] in [-1, 1] from the first style to the second.
        to_a: maps them from the second style to the first.
        facts: of the training data: `domains`, the names of both styles, and the shape of the field
            `a`.
        options: flags of `dlcore predict`.
    """

    to_b: Model
    to_a: Model
    facts: Facts
    options: TranslationOptions = dataclasses.field(default_factory=TranslationOptions)

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[np.ndarray]:
        """Reads picture files, resized to the shape of the training pictures.

        Args:
            files: the pictures.
            text: not used.

        Returns:
            uint8 [height, width, c] of each.

        Raises:
            UsageError: a file is no picture.
        """
        return [image_decoding.read(file, self._shape) for file in files]

    def item(self, value: np.ndarray | Image.Image) -> np.ndarray:
        """Resizes an image of Pillow, or checks an array uint8 of the training pictures' shape.

        Returns:
            uint8 [height, width, c].

        Raises:
            UsageError: an array of another shape or dtype.
        """
        return image_decoding.of_value(value, self._shape)

    def batch(self, state: State, items: Sequence[np.ndarray]) -> list[Answer]:
        """Answers a batch of pictures.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"from", "to"}, the names of both styles; the translated picture) of each.
        """
        names = list(self.facts.domains)
        if self.options.direction == "to_a":
            names.reverse()
        made = np.asarray(self._compiled(state.params, state.extra, np.stack(items)))
        return [
            (dict(zip(("from", "to"), names, strict=True)), Images(f"As {names[1]}", each[None]))
            for each in made
        ]

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(self.facts.fields["a"]["shape"])

    @functools.cached_property
    def _compiled(self) -> Callable[..., Array]:
        model = self.to_b if self.options.direction == "to_b" else self.to_a

        def run(params: Any, extra: Any, images: Array) -> Array:
            return (model.on(params, extra, to_signed(images)) + 1) / 2

        return jax.jit(run)
