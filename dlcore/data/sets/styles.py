"""Crops of photographs beside crops of pictures of styles, without the style to be evaluated."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcore.data.sets import photographs
from dlcore.data.sets.photographs import Crops, Pictures
from dlcore.data.source import Batch, Info, Source, fingerprint
from dlcore.data.splits import Splits
from dlcore.options import DataSource

_SEED = 100  # of the crops of styles; those of photographs have small seeds


@dataclasses.dataclass(frozen=True, eq=False)
class Styled:
    """Crops of photographs, each with a crop of a style.

    Attributes:
        content: crops of photographs.
        styles: as many crops of styles.
        unseen: the style that is kept for evaluation, which is in no crop, uint8 [height, width,
            3].
        info: which data these are.
    """

    content: Crops
    styles: Crops
    unseen: np.ndarray
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    @property
    def whole(self) -> Pictures:
        """Returns the photographs of a split that is held out; {} for train."""
        return getattr(self.content, "whole", {})

    def gather(self, index: np.ndarray) -> Batch:
        """Returns the examples `index`, int [rows].

        Returns:
            `image` and `style`, uint8 [rows, size, size, 3].
        """
        return {**self.content.gather(index), "style": self.styles.gather(index)["image"]}


def with_styles(splits: Splits, source: DataSource, unseen: np.ndarray) -> Splits:
    """Adds a crop of a style to each crop of a photograph.

    About half of the crops of styles are from the known styles except `unseen`, and the others from
    the training photographs, in all splits.

    Args:
        splits: of `photographs.load`, with validation and test; its fact `style` names the unseen
            style.
        source: where the styles are from, as of `photographs.load`.
        unseen: the style that no crop shows, uint8 [height, width, 3].

    Returns:
        Splits of `image` and `style`, uint8 [size, size, 3].

    Raises:
        UsageError: the styles are not prepared.
    """
    train: Any = splits.train
    known = [*photographs.styles(source, without=splits.facts.style).values()]
    pictures = [*known * max(1, round(len(train.pictures) / len(known))), *train.pictures]
    sources: dict[str, Source] = {}
    for number, split in enumerate(("train", "validation", "test")):
        content: Any = splits[split]
        sources[split] = _styled(content, pictures, unseen, _SEED + number)
    return Splits.of(sources, facts=splits.facts)


def _styled(content: Crops, pictures: list[np.ndarray], unseen: np.ndarray, seed: int) -> Styled:
    known: Mapping[str, np.ndarray] = {str(i): each for i, each in enumerate(pictures)}
    settings = json.dumps(
        [content.info.fingerprint, fingerprint({**known, "unseen": unseen}), seed]
    )
    info = dataclasses.replace(
        content.info, fingerprint=hashlib.sha256(settings.encode()).hexdigest()
    )
    crops = Crops(pictures, content.size, seed, info, content.colours)
    return Styled(content, crops, unseen, info)
