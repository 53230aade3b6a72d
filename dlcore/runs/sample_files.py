"""What a run drew, wrote and counted: kept as PNGs, texts and an index in one folder, which is only ever replaced whole."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dlcore import files
from dlcore.samples import Images, Plot, Sample, Text

INDEX = "index.json"
FARTHEST = 1e100  # no axis reaches beyond: differences of such numbers stay finite
MOST = 200_000  # values of one plot: more are for a file of their own
LARGEST = 32 * 2**20  # a file beyond this was not written by save(), and would make a page that no browser opens
_PNG = b"\x89PNG\r\n\x1a\n"


def save(folder: Path, samples: Sequence[Sample]) -> None:
    """Writes the samples beside `folder` and swaps them in; when anything fails, what was there stays as it was."""
    # Fixed names: what a killed process left behind is cleared by the next one instead of piling up.
    fresh, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        index = [_write(fresh, position, sample) for position, sample in enumerate(samples)]
        lines = ",\n".join(json.dumps(entry, allow_nan=False) for entry in index)
        (fresh / INDEX).write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        if folder.exists():
            folder.rename(old)
        try:
            fresh.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _write(folder: Path, position: int, sample: Sample) -> dict[str, Any]:
    """Writes one sample's files and returns its entry in the index."""
    if isinstance(sample, Images):
        return _write_images(folder, position, sample)
    if isinstance(sample, Text):
        name = f"{position:02d}.txt"
        (folder / name).write_bytes(sample.text.encode("utf-8", errors="replace"))  # bytes: line ends stay as they are
        return {"kind": "text", "title": sample.title, "prompt": sample.prompt, "file": name}
    if isinstance(sample, Plot):
        return _plot_entry(sample)
    for row in sample.rows:
        if len(row) != len(sample.header):
            raise ValueError(f"table {sample.title!r}: a row has {len(row)} cells under {len(sample.header)} headings")
    rows = [[_cell(cell) for cell in row] for row in sample.rows]
    return {"kind": "table", "title": sample.title, "header": list(sample.header), "rows": rows}


def _cell(cell: Any) -> str | int | float:
    """A table's cell as strict JSON can hold it."""
    if isinstance(cell, str):
        return str(cell)
    if isinstance(cell, int | np.integer):
        return int(cell)
    value = float(cell)
    return value if math.isfinite(value) else str(value)


def _plot_entry(sample: Plot) -> dict[str, Any]:
    """A plot's numbers; a gap is null, and so is a number too large for anything that could be drawn."""
    series: list[dict[str, Any]] = []
    for one in sample.series:
        x, y = np.asarray(one.x), np.asarray(one.y)
        if x.ndim != 1 or x.shape != y.shape or x.dtype.kind not in "iuf" or y.dtype.kind not in "iuf":
            told = f"x {x.dtype}{list(x.shape)} and y {y.dtype}{list(y.shape)}"
            raise ValueError(f"plot {sample.title!r}: series {one.name!r} needs two rows of numbers of one length, not {told}")
        places = {axis: [v if abs(v) <= FARTHEST else None for v in _plain(row)] for axis, row in (("x", x), ("y", y))}
        series.append({"name": str(one.name), "points": bool(one.points), **places})
    total = sum(len(one["x"]) for one in series)
    if total > MOST:
        raise ValueError(f"plot {sample.title!r}: {total:,} points are more than {MOST:,}; choose some of them")
    log = {"log_x": bool(sample.log_x), "log_y": bool(sample.log_y)}
    return {"kind": "plot", "title": sample.title, "x": str(sample.x), "y": str(sample.y), **log, "series": series}


def _plain(row: np.ndarray) -> list[float]:
    """The shortest decimal that stands for each number in its own dtype."""
    return [float(str(value)) for value in row]


def _write_images(folder: Path, position: int, sample: Images) -> dict[str, Any]:
    pixels, outside = to_uint8(sample.images, sample.title)
    for name, marks in (("captions", sample.captions), ("right", sample.right)):
        if len(marks) not in (0, len(pixels)):
            raise ValueError(f"images {sample.title!r}: {len(marks)} {name} for {len(pixels)} images")
    entries: list[dict[str, Any]] = []
    for i, image in enumerate(pixels):
        entry: dict[str, Any] = {"file": f"{position:02d}-{i:04d}.png"}
        if sample.captions:
            entry["caption"] = str(sample.captions[i])
        if sample.right:
            entry["right"] = bool(sample.right[i])
        Image.fromarray(image).save(folder / entry["file"], format="PNG", optimize=False)
        entries.append(entry)
    size = {"height": int(pixels.shape[1]), "width": int(pixels.shape[2])}
    head = {"kind": "images", "title": sample.title, "columns": int(sample.columns), **size, "outside": outside}
    return {**head, "images": entries}


def to_uint8(images: np.ndarray, title: str = "") -> tuple[np.ndarray, int]:
    """Images as uint8 [N,H,W] or [N,H,W,3], and how many values were outside [0, 1] or not finite and had to be clipped."""
    array = np.asarray(images)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] != 3) or 0 in array.shape[1:]:
        raise ValueError(f"images {title!r}: shape {array.shape} is neither [N,H,W] nor [N,H,W,1|3]")
    if array.dtype == np.uint8:
        return array, 0
    if array.dtype.kind in "iu":
        raise ValueError(f"images {title!r}: {array.dtype} has no known range; pass uint8, or floats in [0, 1]")
    array = array.astype(np.float32)
    outside = int(np.sum(~((array >= -1e-3) & (array <= 1 + 1e-3))))
    array = np.clip(np.nan_to_num(array, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    return np.rint(array * 255).astype(np.uint8), outside


def load(folder: Path) -> list[dict[str, Any]]:
    """The index of a samples folder, validated; [] when there is no folder, ValueError naming the file when it is damaged."""
    if not folder.is_dir():
        return []
    path = folder / INDEX
    try:
        index = json.loads(files.read(path))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(index, list):
        raise ValueError(f"{path}: not a list of samples")
    for position, entry in enumerate(index):
        problem = _problem(entry)
        if problem:
            raise ValueError(f"{path}: sample {position}: {problem}")
        for name in _files(entry):
            locate(folder, name)
    return index


def _files(entry: dict[str, Any]) -> list[str]:
    if entry["kind"] == "images":
        return [image["file"] for image in entry["images"]]
    return [entry["file"]] if entry["kind"] == "text" else []


def _problem(entry: Any) -> str | None:
    """What is wrong with one entry of the index, in words."""
    if not isinstance(entry, dict) or not isinstance(entry.get("title"), str):
        return "no title"
    kind = entry.get("kind")
    if kind == "images":
        images = entry.get("images")
        if not isinstance(images, list) or not all(isinstance(i, dict) and isinstance(i.get("file"), str) for i in images):
            return "images without file names"
        if not all(isinstance(i.get("caption", ""), str) and isinstance(i.get("right", True), bool) for i in images):
            return "a caption that is no text, or a mark that is neither true nor false"
        sizes = [entry.get(name, 1) for name in ("columns", "height", "width")] + [entry.get("outside", 0)]
        return None if all(type(value) is int for value in sizes) else "a size that is no whole number"
    if kind == "text":
        fields = (entry.get("file"), entry.get("prompt", ""))
        return None if all(isinstance(value, str) for value in fields) else "text without a file name"
    if kind == "table":
        header, rows = entry.get("header"), entry.get("rows")
        if not isinstance(header, list) or not isinstance(rows, list) or not all(isinstance(h, str) for h in header):
            return "table without header and rows"
        whole = all(isinstance(row, list) and len(row) == len(header) for row in rows)
        return None if whole and all(type(cell) in (str, int, float) for row in rows for cell in row) else "damaged rows"
    return _plot_problem(entry) if kind == "plot" else f"unknown kind {kind!r}"


def _plot_problem(entry: dict[str, Any]) -> str | None:
    if not all(isinstance(entry.get(axis), str) and type(entry.get(f"log_{axis}", False)) is bool for axis in ("x", "y")):
        return "a plot whose axes have no names"
    series = entry.get("series")
    if not isinstance(series, list) or not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in series):
        return "a plot without named series"
    if not all(type(one.get("points", False)) is bool for one in series):
        return "a series that is neither points nor a line"
    if not all(isinstance(one.get("x"), list) and isinstance(one.get("y"), list) for one in series):
        return "a series without numbers"
    if not all(len(one["x"]) == len(one["y"]) for one in series) or sum(len(one["x"]) for one in series) > MOST:
        return "a series of unequal length, or too long"
    places = (value for one in series for axis in ("x", "y") for value in one[axis])
    fits = all(value is None or (type(value) in (int, float) and abs(value) <= FARTHEST) for value in places)
    return None if fits else "a series with something that is no number"


def locate(folder: Path, name: str) -> Path:
    """The file that an index names; ValueError unless it is a .png or .txt that lies, links followed, inside the folder."""
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"{folder / INDEX}: {name!r} is no file name") from error
    if not inside or path.suffix not in (".png", ".txt") or path.resolve().suffix != path.suffix:
        raise ValueError(f"{folder / INDEX}: {name!r} is not a .png or .txt inside the samples folder")
    if not path.is_file():
        raise ValueError(f"{path}: missing")
    return path


def read(folder: Path, name: str) -> bytes:
    """The bytes of one file that an index names."""
    path = locate(folder, name)
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path}: larger than {LARGEST >> 20} MiB")
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    if path.suffix == ".png" and not content.startswith(_PNG):
        raise ValueError(f"{path}: not a PNG")
    return content
