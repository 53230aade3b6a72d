"""What a run can show: images, texts, tables and plots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Images:
    """Images [N,H,W] or [N,H,W,1|3], float in [0,1] or uint8; `right` marks each as a right or a wrong prediction."""

    title: str
    images: np.ndarray
    captions: tuple[str, ...] = ()
    right: tuple[bool, ...] = ()
    columns: int = 10


@dataclass(frozen=True)
class Text:
    """A generated text, and the prompt that it goes on from."""

    title: str
    text: str
    prompt: str = ""


@dataclass(frozen=True)
class Table:
    """Numbers that are no curve, such as a confusion matrix."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]


@dataclass(frozen=True)
class Series:
    """Points (x[i], y[i]) under one name, joined by a line or, with `points`, each alone; both [N], what is not finite a gap."""

    name: str
    x: np.ndarray
    y: np.ndarray
    points: bool = False


@dataclass(frozen=True)
class Plot:
    """A figure of lines and clouds of points; `x` and `y` say what the axes show, and its unit."""

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False


Sample = Images | Text | Table | Plot
