"""Writes small files as a user's own data, into a folder of a test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIZES = ((28, 28), (40, 24), (9, 31), (64, 64))  # width, height


def image(file: Path, seed: int, size: tuple[int, int] = (28, 28), mode: str = "L") -> Path:
    """Writes an image of noise, in the format of the file's ending; returns the file."""
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], *channels), np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels, mode).save(file)
    return file


def image_folder(
    folder: Path, each: int = 40, classes: Sequence[str] = ("cat", "dog"), seed: int = 0
) -> Path:
    """Writes a folder of images by class, grey and colour, of several sizes; returns it."""
    for number, name in enumerate(classes):
        for i in range(each):
            mode, size = ("L", "RGB", "RGBA")[i % 3], SIZES[i % len(SIZES)]
            image(folder / name / f"{i:03d}.png", seed + 1000 * number + i, size, mode)
    return folder


def texts(file: Path, count: int = 80) -> Path:
    """Writes texts of two classes as .jsonl, .csv or, for other endings, TSV; returns the file."""
    rows = [(f"a {('good', 'poor')[i % 2]} film, number {i}", "+-"[i % 2]) for i in range(count)]
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".jsonl":
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    elif file.suffix == ".csv":
        lines = ["text,label", *(f'"{text}",{label}' for text, label in rows)]
    else:
        lines = ["text\tlabel", *("\t".join(row) for row in rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def sentence_pairs(count: int = 120) -> list[tuple[str, str]]:
    """Returns distinct random sentences, each with its translation: the same in capitals."""
    words = [f"{a}{b}" for a in ("ba", "do", "ki", "lu") for b in ("n", "r", "s", "t", "m")]
    draw = np.random.default_rng(0)
    found: dict[str, str] = {}
    while len(found) < count:
        sentence = " ".join(draw.choice(words, draw.integers(2, 6)))
        found[sentence] = sentence.upper()
    return list(found.items())
