"""User videos: animated images, and folders of frames."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dlcore.data import cache
from dlcore.data.facts import Facts
from dlcore.data.own import files, images
from dlcore.data.own.found import VERSION, Example, Found
from dlcore.data.own.video_decoding import (
    ANIMATED,
    count,
    frame_files,
    is_animation,
    read,
    video_files,
)
from dlcore.data.source import Arrays, Batch, Info, Source
from dlcore.data.splits import Splits
from dlcore.errors import UsageError

_FORMAT = 2  # counts up when the same files become other arrays than before


@dataclasses.dataclass(frozen=True, eq=False)
class Clips:
    """Windows of consecutive frames; a window is an example.

    Attributes:
        frames: uint8 [n, height, width, channels] of all videos, concatenated.
        starts: index in `frames` of the first frame of each window, int [examples].
        length: frames of a window.
        info: which data these are.
    """

    frames: np.ndarray
    starts: np.ndarray
    length: int
    info: Info

    def __len__(self) -> int:
        return self.info.examples

    def gather(self, index: np.ndarray) -> Batch:
        """Returns the windows `index`, int [rows].

        Returns:
            {"video": uint8 [rows, length, height, width, channels]}.
        """
        at = self.starts[np.asarray(index)][:, None] + np.arange(self.length)
        return {"video": self.frames[at]}


def find(path: Path) -> Found:
    """Finds the videos of a path; the `values` of an example are (file or folder of frames,).

    Args:
        path: a folder of animated images and of folders, each of which holds the frames of one
            video in the order of their names (frame2 before frame10); or folders train, validation
            and test with these in them.

    Returns:
        The videos; all faults, such as a path that is no folder, or animations in a folder of
        frames, are its `problems`, and none is raised. No file is decoded.
    """
    found = Found(path)
    if not path.is_dir():
        there = "is no folder" if path.exists() else "there is no such folder"
        found.problems.append(f"{path}: {there}: name a folder of GIFs or of folders of frames")
        return found
    splits = {"train": path}
    train = files.train_folder(path)
    if train and any(e.is_dir() or e.suffix.lower() in ANIMATED for e in files.visible(train)):
        try:
            splits = files.split_folders(path)
        except UsageError as error:
            found.problems.append(str(error))
            return found
    for split, folder in splits.items():
        found.splits[split] = _videos(folder, found.problems)
        if not found.splits[split]:
            found.problems.append(
                f"{folder} holds no videos: put in animated images ({', '.join(ANIMATED)}), or a"
                " folder of frames for each video"
            )
    return found


def listed(folder: Path) -> list[Path]:
    """Lists the videos in a folder without splits, or the folder itself if it holds frames only.

    Args:
        folder: see `find`. If it holds images, and neither subfolders nor animations, they are the
            frames of one video.

    Returns:
        Files and folders, sorted by name: those that `video_decoding.frames` decodes, and what else
        lies there, of which `fault` says what is wrong.

    Raises:
        UsageError: it holds no video.
    """
    inside = files.visible(folder)
    videos = any(each.is_dir() or is_animation(each) for each in inside)
    if not videos and frame_files(folder):
        return [folder]
    faults = [fault(each) for each in inside]
    if all(faults):
        raise UsageError(next(iter(faults), f"{folder} holds no videos"))
    return inside


def fault(path: Path) -> str:
    """Says why a file or folder is no video, by its name and the names in it; "": it may be one."""
    if path.is_dir():
        frames = frame_files(path)
        if moving := [file for file in frames if is_animation(file)]:
            return (
                f"{path} holds animations ({moving[0].name}) where the frames of one video are"
                " expected: move them one level up"
            )
        return "" if frames else f"{path} holds no frames: put images in, or remove the folder"
    if path.suffix.lower() in ANIMATED:
        return ""
    if path.suffix.lower() in images.SUFFIXES:
        return f"{path} is one image and no video: put its frames into a folder"
    return f"{path} is no video ({', '.join(ANIMATED)}): move it elsewhere"


def _videos(folder: Path, problems: list[str]) -> list[Example]:
    every = [(each, fault(each)) for each in files.visible(folder)]
    problems += [why for _, why in every if why]
    return [Example(str(each), (str(each),)) for each, why in every if not why]


def load(path: Path, size: Sequence[int], length: int) -> Splits:
    """Loads a user's videos as splits of windows, decoded once into the cache.

    Args:
        path: see `find`. Missing splits are cut from train by the hash of the videos' contents: all
            windows of a video are in one split.
        size: [height, width] of the frames.
        length: frames of a window. In training one starts at every frame that has `length` - 1
            frames after it. In other splits windows do not overlap, and the last frames of a video
            that do not fill one are left out.

    Returns:
        Splits of `video`, uint8 [length, height, width, c]; c is 1 if all videos are grey, else 3.
        `facts` has `by_hash`, the splits that were cut, and `generated`, False.

    Raises:
        UsageError: a fault in the files, such as one video of fewer than `length` frames.
    """
    found = find(path)
    found.refuse()
    found.divide(digests)
    found.refuse()
    decoded = {
        split: _decoded(path.resolve().name, found.named(split), examples, size, length)
        for split, examples in found.splits.items()
    }
    colour = any(bool(each.arrays["colour"].any()) for each in decoded.values())
    sources: dict[str, Source] = {
        split: _windows(each, length, 1 if split == "train" else length, colour)
        for split, each in decoded.items()
    }
    return Splits.of(sources, facts=Facts(generated=False, by_hash=found.by_hash))


def _windows(decoded: Arrays, length: int, stride: int, colour: bool) -> Clips:
    video = np.asarray(decoded.arrays["video"])
    first = np.flatnonzero(np.diff(video, prepend=-1))
    ends = [*first[1:].tolist(), len(video)]
    starts = np.concatenate(
        [np.arange(a, b - length + 1, stride) for a, b in zip(first, ends, strict=True)]
    )
    frames = decoded.arrays["frames"]
    settings = [decoded.info.fingerprint, length, stride, colour]
    mark = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    info = dataclasses.replace(decoded.info, fingerprint=mark, examples=len(starts))
    return Clips(frames if colour else frames[..., :1], starts, length, info)


def _decoded(
    name: str, split: str, examples: Sequence[Example], size: Sequence[int], length: int
) -> Arrays:
    """`frames` of all videos, the number of the `video`, and whether a frame has `colour`."""
    paths = [Path(example.values[0]) for example in examples]
    counts = [count(path) for path in paths]
    for path, frames in zip(paths, counts, strict=True):
        if frames < length:
            raise UsageError(
                f"{path} has {frames} frames, and a clip takes {length}: remove it, or choose fewer"
                " with --frames-in and --frames-out"
            )

    def chunks() -> Iterator[Batch]:
        for number, path in enumerate(paths):
            frames = read(path, size)
            spread = frames.max(-1).astype(int) - frames.min(-1)
            yield {
                "frames": frames,
                "video": np.full(len(frames), number, np.int32),
                "colour": (spread > 0).any((1, 2)),
            }

    listed = [
        (str(each), each.stat().st_size, each.stat().st_mtime_ns) for each in video_files(paths)
    ]
    key = hashlib.sha256(
        json.dumps([_FORMAT, listed, name, split, list(size)]).encode()
    ).hexdigest()
    place = f"own/{key[:32]}/videos"
    return cache.cached(place, name, VERSION, split, lambda: (sum(counts), chunks()))


def digests(examples: Sequence[Example]) -> list[str]:
    """Returns the hexadecimal SHA-256 of each video's files, in the order of its frames.

    Args:
        examples: as of `find`.
    """
    return [_digest(Path(example.values[0])) for example in examples]


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for file in video_files([path]):
        digest.update(file.read_bytes())
    return digest.hexdigest()
