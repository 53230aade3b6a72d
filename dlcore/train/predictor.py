"""What a trained model says of a user's own files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from dlcore.samples import Sample
from dlcore.train.step import State


class Predictor(Protocol):
    """Turns files or lines of text into items, and batches of items into answers.

    `options` is a dataclass whose fields are the flags of `dlcore predict` for this model.
    """

    @property
    def options(self) -> Any:
        """Flags of `dlcore predict` and their defaults."""

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[Any]:
        """What is predicted one by one, read from files and lines of text. Raises UsageError that
        names a file it cannot read.
        """

    def batch(self, state: State, items: Sequence[Any]) -> list[tuple[dict[str, Any], Sample]]:
        """For each item the answer of a trained state as plain JSON, and what a person sees of
        it.
        """
