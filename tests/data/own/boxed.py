"""Writes small COCO files and YOLO folders, as a user's own data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (40, 30)  # width and height of each image


def picture(file: Path, seed: int) -> Path:
    """Writes an image of noise with a bright rectangle at `BOX`; returns the file."""
    pixels = np.random.default_rng(seed).integers(0, 90, (SIZE[1], SIZE[0], 3), np.uint8)
    left, top = BOX[:2]
    pixels[top : top + BOX[3], left : left + BOX[2]] = 220
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    return file


BOX = (8, 10, 12, 6)  # left, top, width, height


def coco_content(count: int, folder: Path, first: int = 0) -> dict[str, Any]:
    """Writes images into a folder, and returns COCO's annotations of them as JSON values.

    Args:
        count: number of images, with one box each; the classes alternate.
        folder: of the images.
        first: number of the first image.
    """
    numbers = range(first, first + count)
    for i in numbers:
        picture(folder / f"{i:03}.png", i)
    return {
        "images": [
            {"id": i, "file_name": f"{i:03}.png", "width": SIZE[0], "height": SIZE[1]}
            for i in numbers
        ],
        "annotations": [
            {"id": i, "image_id": i, "category_id": (3, 7)[i % 2], "bbox": list(BOX), "iscrowd": 0}
            for i in numbers
        ],
        "categories": [
            {"id": 3, "name": "cat", "supercategory": "animal"},
            {"id": 7, "name": "dog", "supercategory": "animal"},
        ],
    }


def coco(folder: Path, count: int = 40, **changes: Any) -> Path:
    """Writes a COCO file, and its images beside it; `changes` replace its lists."""
    file = folder / "boxes.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {**coco_content(count, folder / "images"), **changes}
    file.write_text(json.dumps(content))
    return file


def yolo(folder: Path, counts: tuple[int, ...] = (8, 4), lines: str | None = None) -> Path:
    """Writes a YOLO folder, and returns it.

    Args:
        folder: is created.
        counts: numbers of images of train, val and test.
        lines: the label file of each split's first image; None: as of the other images.
    """
    (x, y, w, h), (width, height) = BOX, SIZE
    parts = ("train", "val", "test")[: len(counts)]
    for part, count in zip(parts, counts, strict=True):
        for i in range(count):
            picture(folder / "images" / part / f"{i}.png", i)
            box = f"{i % 2} {(x + w / 2) / width} {(y + h / 2) / height} {w / width} {h / height}\n"
            labels = folder / "labels" / part / f"{i}.txt"
            labels.parent.mkdir(parents=True, exist_ok=True)
            labels.write_text(lines if lines is not None and not i else box)
    listed = "".join(f"{part}: images/{part}\n" for part in parts)
    (folder / "data.yaml").write_text(f"names: [cat, dog]\n{listed}")
    return folder
