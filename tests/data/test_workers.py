"""Batches prepared by worker processes: the same as without, and faults that name the file."""

from __future__ import annotations

import dataclasses
import os
import signal
import types
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dlcore.data import pictures, workers
from dlcore.data.mapped import Example, mapped
from dlcore.data.own import image_files
from dlcore.data.own.image_files import ImageFiles
from dlcore.data.stream import Stream
from dlcore.errors import UsageError
from tests.data.own import made

BATCH, STEPS = 5, 6


def augment(example: Example, random: np.random.Generator) -> Example:
    image = pictures.random_resized_crop(example["image"], random, 16)
    return {**example, "image": pictures.random_flip(image, random)}


def prepare(example: Example) -> Example:
    return {**example, "image": pictures.centre_crop(example["image"], 16)}


@dataclasses.dataclass(frozen=True, eq=False)
class Deadly(ImageFiles):
    """Image files, one of which ends the process that reads it."""

    deadly: str = ""

    def read(self, index: int) -> Example:
        if self.where(index) == self.deadly and os.getpid() != int(os.environ["MAIN_PROCESS"]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(index)


@pytest.fixture
def files(tmp_path: Path) -> Sequence[str]:
    folder = made.image_folder(tmp_path / "photos", 6)
    return [str(file) for file in sorted(folder.rglob("*.png"))]


def stream(items: ImageFiles) -> Stream:
    source = mapped("photos", "1", "train", items, augment, prepare)
    return Stream(source, BATCH, 7, np.arange(BATCH))


@pytest.mark.slow
def test_batches_are_the_same_with_any_number_of_workers(files: Sequence[str]) -> None:
    batches = stream(ImageFiles(files, [0, 1] * 6))
    expected = [batches.at(step) for step in range(STEPS)]
    for count, start in ((0, 0), (1, 4), (2, 1)):  # from the midst of an epoch
        found = list(batches.steps(start, STEPS, 1, count))
        assert len(found) == STEPS - start
        for one, other in zip(expected[start:], found, strict=True):
            assert one.keys() == other.keys()
            for name in one:
                np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.slow
def test_a_damaged_file_and_the_death_of_a_worker_name_the_file(
    files: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIN_PROCESS", str(os.getpid()))
    broken = files[5]
    batches = stream(Deadly(files, [0, 1] * 6, deadly=broken))
    with pytest.raises(UsageError, match="ended with signal SIGKILL while it read") as died:
        list(batches.steps(0, STEPS, 1, 2))
    assert broken in str(died.value)
    Path(broken).write_bytes(b"no picture")
    batches = stream(ImageFiles(files, [0, 1] * 6))
    for count in (0, 1):
        with pytest.raises(UsageError, match="cannot be read as an image") as damaged:
            list(batches.steps(0, STEPS, 1, count))
        assert broken in str(damaged.value)


@pytest.mark.quick
def test_what_shared_memory_lacks_space_for_is_sent_through_pipes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def at(step: int) -> dict[str, np.ndarray]:
        return {"x": np.zeros(1000, np.float32)}

    monkeypatch.setattr(workers, "_SHARED", tmp_path)
    for free, fits in ((10**6, True), (40_000, False)):
        usage = types.SimpleNamespace(free=free)
        monkeypatch.setattr(workers.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert workers._shared_memory(at, range(3), 2) is fits
    monkeypatch.setattr(workers, "_SHARED", tmp_path / "nothing")
    assert workers._shared_memory(at, range(3), 2)


@pytest.mark.quick
def test_errors_that_cannot_be_sent_become_ones_that_can() -> None:
    class Local(Exception):
        pass

    def at(step: int) -> dict[str, np.ndarray]:
        raise Local("a mistake")

    with pytest.raises(RuntimeError, match="a mistake"):
        workers._Picklable(at)(0)


@pytest.mark.quick
def test_a_folder_of_images_becomes_splits_that_are_read_when_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    folder = made.image_folder(tmp_path / "photos", 30)
    found = image_files.load(folder, augment, prepare)
    assert found.facts.classes == ["cat", "dog"]
    assert found.facts.by_hash == ["validation", "test"]
    assert sum(found.facts.examples.values()) == 60
    assert found.facts.fields["image"] == {"shape": [16, 16, 3], "dtype": "uint8"}
    assert (found.train.augment, found.validation.augment) == (augment, None)
    again = image_files.load(folder, augment, prepare)
    assert again.facts == found.facts
    made.image(Path(found.train.items.files[0]), 10**6, mode="RGB")
    changed = image_files.load(folder, augment, prepare)
    assert changed.facts.sources != found.facts.sources


@pytest.mark.parametrize(
    ("error", "runs"), [(ProcessLookupError(), False), (PermissionError(), True), (None, True)]
)
def test_a_process_that_may_not_be_signalled_runs(
    error: OSError | None, runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(pid: int, number: int) -> None:
        if error:
            raise error

    monkeypatch.setattr(os, "kill", kill)
    assert workers._runs(1) is runs
