"""Summarises a user's videos: counts, frames, sizes, duplicates and faults."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dlcore.data.own import video_decoding, videos
from dlcore.data.own.found import SPLITS, Example, Found
from dlcore.data.own.summary import Summary, duplicates, sizes, thumbnail
from dlcore.errors import UsageError
from dlcore.samples import Animations, Sample, Table

_SHOWN, _LONGEST = 6, 40  # videos that are shown, and of each the first frames
_DEFAULT = 10  # frames that video_moving_mnist is given, and frames that it predicts
_FEWEST = 3  # frames of a clip: one is given and two are predicted


@dataclasses.dataclass
class _Measured:
    """Of the videos that can be read: {where: frames}, {quantity: values}, and those to show."""

    frames: dict[str, int] = dataclasses.field(default_factory=dict)
    sizes: dict[str, list[float]] = dataclasses.field(
        default_factory=lambda: {"frames": [], "height": [], "width": []}
    )
    shown: list[tuple[str, np.ndarray]] = dataclasses.field(default_factory=list)


def summary(path: Path) -> Summary:
    """Decodes all videos of a path, and summarises them.

    Args:
        path: see `dlcore.data.own.videos.find`.

    Returns:
        The summary; each video that cannot be decoded is left out, and among its `problems`.

    Raises:
        UsageError: the path is no folder, or has no videos.
    """
    found = videos.find(path)
    if not any(found.splits.values()):
        found.refuse()
        raise UsageError(f"{path} holds no videos")
    measured = _Measured()
    for split, examples in found.splits.items():
        found.splits[split] = [e for e in examples if _decoded(e, measured, found.problems)]
    found.divide(videos.digests)
    frames = list(measured.frames.values())
    lines = [f"videos that can be read: {len(frames):,}, with {sum(frames):,} frames"]
    if found.by_hash:
        lines.append(f"cut from train by the hash of the videos: {' and '.join(found.by_hash)}")
    by_split = (
        (split, e)
        for split, each in found.splits.items()
        for e in zip(each, videos.digests(each), strict=True)
    )
    same = duplicates((split, e.where, digest, "") for split, (e, digest) in by_split)
    if not same:
        lines.append("no two of the videos are the same")
    return Summary(
        path,
        tuple(lines),
        tuple(dict.fromkeys(found.problems)),
        (_counts(found, measured), sizes(measured.sizes), *same),
        tuple(_animations(measured)),
        f"dlcore train video_moving_mnist --data {path}{_flags(frames)}",
    )


def _decoded(example: Example, measured: _Measured, problems: list[str]) -> bool:
    """Whether a video can be read; it is measured, and its faults become problems."""
    try:
        frames = video_decoding.frames(Path(example.values[0]))
    except UsageError as error:
        problems.append(str(error))
        return False
    count, (width, height) = len(frames), frames[0].size
    if count < _FEWEST:
        problems.append(
            f"{example.where} has {count} {'frame' if count == 1 else 'frames'}: a clip has"
            f" {_FEWEST} at least; remove it"
        )
    measured.frames[example.where] = count
    for name, value in (("frames", count), ("height", height), ("width", width)):
        measured.sizes[name].append(value)
    if len(measured.shown) < _SHOWN:
        measured.shown.append((Path(example.where).name, _small(frames[:_LONGEST])))
    return True


def _small(frames: Sequence[Image.Image]) -> np.ndarray:
    """Thumbnails of frames, uint8 [frames, side, side, 3]."""
    return np.stack([thumbnail(frame) for frame in frames])


def _flags(frames: Sequence[int]) -> str:
    """Flags for the shortest video, where the default clips are longer."""
    shortest = min((count for count in frames if count >= _FEWEST), default=2 * _DEFAULT)
    if shortest >= 2 * _DEFAULT:
        return ""
    given = min(_DEFAULT, shortest - max(2, shortest // 2))
    return f" --frames-in {given} --frames-out {min(_DEFAULT, shortest - given)}"


def _counts(found: Found, measured: _Measured) -> Table:
    splits = [split for split in SPLITS if split in found.splits]
    each = [found.splits[split] for split in splits]
    rows: tuple[tuple[str | float, ...], ...] = (
        ("videos", *map(len, each)),
        ("frames", *(sum(measured.frames[e.where] for e in examples) for examples in each)),
    )
    return Table("Examples", ("", *splits), rows)


def _animations(measured: _Measured) -> list[Sample]:
    if not measured.shown:
        return []
    names, clips = zip(*measured.shown, strict=True)
    return [Animations("A few of them", clips, names)]
