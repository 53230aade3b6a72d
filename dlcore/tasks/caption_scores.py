"""Scores of captions, by length too, and the training picture that is nearest to a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from dlcore.metrics.captions import cider
from dlcore.metrics.text import bleu
from dlcore.samples import Table

SCORES = ("bleu", "cider", "exact_match")


def scores(
    captions: Sequence[str], references: Sequence[str], suffix: str = ""
) -> dict[str, float]:
    """Computes BLEU, CIDEr-D and the fraction of captions that equal their reference.

    Args:
        captions: one per picture.
        references: the true caption of each.
        suffix: appended to the names of the metrics.

    Returns:
        `bleu` in 0..100, `cider` in 0..10 and `exact_match` in 0..1, over all captions.
    """
    exact = [a == b for a, b in zip(captions, references, strict=True)]
    return {
        f"bleu{suffix}": bleu(captions, references)[0],
        f"cider{suffix}": cider(captions, [[each] for each in references]),
        f"exact_match{suffix}": float(np.mean(exact)),
    }


def by_length(title: str, captions: Sequence[str], references: Sequence[str]) -> Table:
    """Tabulates BLEU and exact matches by the number of words of the true caption.

    Args:
        title: what the pictures are; begins the heading.
        captions, references: found and true captions.

    Returns:
        A row per number of words (split at white space) that occurs, in ascending order: that
        number, how many pictures, BLEU in 0..100 and the fraction of exact matches.
    """
    lengths = np.array([len(each.split()) for each in references])
    rows: list[tuple[str | float, ...]] = []
    for length in np.unique(lengths):
        index = np.flatnonzero(lengths == length).tolist()
        found = scores([captions[i] for i in index], [references[i] for i in index])
        numbers = round(found["bleu"], 1), round(found["exact_match"], 3)
        rows.append((str(length), len(index), *numbers))
    head = ("words of the true caption", "pictures", "BLEU", "exact matches")
    return Table(f"{title}: scores by length", head, tuple(rows))


def nearest(known: np.ndarray, pictures: np.ndarray, cells: int = 12) -> np.ndarray:
    """Finds the known picture nearest to each picture, by the pixels of small copies.

    Args:
        known, pictures: uint8 [n, size, size, 3] and [m, size, size, 3].
        cells: height and width of the copies.

    Returns:
        Indices of the known pictures of smallest squared distance, int [m].
    """

    def small(x: np.ndarray) -> np.ndarray:
        resized = (Image.fromarray(each).resize((cells, cells), Image.Resampling.BOX) for each in x)
        return np.stack([np.asarray(each, np.float64).reshape(-1) for each in resized])

    a, b = small(known), small(pictures)
    return np.argmin((a * a).sum(1)[None] - 2 * b @ a.T, 1)
