"""Runs whose examples are read by worker processes: the same bits as without, after a stop too."""

from __future__ import annotations

import hashlib
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dlcore.data.source import Batch
from dlcore.data.stream import Stream
from tests import child
from tests.child import Child, card, logged, run
from tests.data.own import made
from tests.runs import photographs

PAGE = Path(photographs.__file__)


def pictures_folder(folder: Path, count: int, size: int = 224) -> Path:
    """JPEG files of two classes, smooth noise that is redder in one of them: `count` for training,
    and a tenth of that, at most 40, for each of validation and test.
    """
    random = np.random.RandomState(0)
    few = min(count // 10, 40)
    for split, number in (("train", count), ("validation", few), ("test", few)):
        for i in range(number):
            coarse = random.randint(0, 200, (14, 14, 3)).astype(np.uint8)
            coarse[..., 0] += 50 * (i % 2)
            file = folder / split / ("blue", "red")[i % 2] / f"{i:05d}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC).save(file)
    return folder


def words(folder: Path, out: Path, workers: int, **config: int) -> list[Any]:
    flags = [word for name, value in config.items() for word in (f"--{name}", value)]
    every = ["--log-every", 1, "--eval-every", 20, "--save-every", 7, "--cpu-devices", 1]
    found = ["train", PAGE, "--data", folder, "--out", out, "--workers", workers, *every, *flags]
    return [str(word) for word in found]


def processes_of(parent: int) -> set[int]:
    """The processes that a process has started and that still run."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, above = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(above) == parent and state != "Z":
            found.add(int(entry.name))
    return found


def stopped_and_resumed(folder: Path, out: Path, steps: int, **config: int) -> None:
    """Killed by `kill -9`, by SIGTERM, and resumed with other numbers of workers; each time in the
    midst of an epoch: the card and the log of a run without workers and without a stop.
    """

    def reached(at: int) -> bool:
        return any(line["step"] >= at for line in logged(out / "b", "train"))

    code, said = run(*words(folder, out / "a", 0, steps=steps, **config), folder=out)
    assert code == 0, said
    running = Child(*words(folder, out / "b", 2, steps=steps, **config), folder=out)
    running.until(lambda: reached(9))
    orphans = processes_of(running.process.pid)
    running.send(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    running = Child("resume", out / "b", "--trust", "--workers", "1", folder=out)
    running.until(lambda: reached(19))
    running.send(signal.SIGTERM)
    assert running.wait() == 75, running.output()
    assert card(out / "b")["step"] < steps
    code, said = run("resume", out / "b", "--trust", "--workers", "2", folder=out)
    assert code == 0, said
    assert "leaked" not in said, "shared memory was not freed"
    one, other = card(out / "a"), card(out / "b")
    assert other["params_sha256"] == one["params_sha256"]
    assert other["results"] == one["results"]
    logs = [
        {(line["step"], line["split"]): line for line in logged(out / name)} for name in ("a", "b")
    ]
    assert logs[0] == logs[1]
    if Path("/proc/self/stat").exists():
        for pid in orphans:
            assert not Path(f"/proc/{pid}").exists(), "a worker outlived its run"


@pytest.mark.nightly
def test_a_run_with_workers_is_stopped_and_resumed_in_the_midst_of_an_epoch(
    tmp_path: Path,
) -> None:
    folder = pictures_folder(tmp_path / "photos", 20, 24)
    stopped_and_resumed(folder, tmp_path, steps=200, batch=6, size=8)


@pytest.mark.nightly
def test_a_damaged_file_ends_a_run_with_its_name(tmp_path: Path) -> None:
    folder = pictures_folder(tmp_path / "photos", 100, 24)
    broken = folder / "train" / "red" / "00091.jpg"  # not among those that are examined before
    broken.write_bytes(broken.read_bytes()[:200])
    code, said = run(*words(folder, tmp_path / "a", 1, steps=20, batch=6, size=8), folder=tmp_path)
    assert code == 2, said
    assert str(broken) in said
    assert "Traceback" not in said
    assert card(tmp_path / "a")["status"] == "stopped"
    assert str(broken) in card(tmp_path / "a")["error"]
    made.image_folder(tmp_path / "in_memory")
    code, said = run(
        *("train", "cnn_mnist", "--data", tmp_path / "in_memory", "--workers", "2", "--batch", "9"),
        folder=tmp_path,
    )
    assert code == 2
    assert "--workers 2: the examples of split train (in_memory own) are in memory" in said


@pytest.mark.nightly
def test_5000_pictures_of_224_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same batches by 0, 1 and 2 workers, and a bit-exact resume."""
    monkeypatch.setattr(child, "LIMIT", 600.0)
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    folder = pictures_folder(tmp_path / "photos", 5000)
    config = photographs.Config(size=224)
    train = photographs.data(config, folder).train
    assert len(train) == 5000
    stream = Stream(train, 128, 0, np.arange(128))
    steps = 45  # more than an epoch
    expected = [digest(batch) for batch in stream.steps(0, steps)]
    assert len(set(expected)) == steps
    for workers in (1, 2):
        assert [digest(batch) for batch in stream.steps(0, steps, 1, workers)] == expected
    late = [digest(batch) for batch in stream.steps(steps // 2, steps, 1, 2)]
    assert late == expected[steps // 2 :]
    stopped_and_resumed(folder, tmp_path, steps=30, batch=32, size=64)


def digest(batch: Batch) -> str:
    """A hash of a batch."""
    found = hashlib.sha256()
    for name in sorted(batch):
        found.update(f"{name} {batch[name].dtype} {batch[name].shape}".encode())
        found.update(np.ascontiguousarray(batch[name]).tobytes())
    return found.hexdigest()
