"""One's own drive: the simulator's table with and without a header, and what may be wrong in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcore.data.own import drive
from dlcore.data.sets import drives
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick
SHAPE = (4, 8, 3)


def recorded(folder: Path, rows: list[str], header: str = "", frames: int = 6) -> Path:
    """A folder as the simulator leaves it, with frames of one grey each."""
    (folder / "IMG").mkdir(parents=True)
    for number in range(frames):
        image = Image.new("RGB", (16, 8), (10 * number,) * 3)
        image.save(folder / "IMG" / f"center_{number}.png")
    lines = [header, *rows] if header else rows
    (folder / "driving_log.csv").write_text("\n".join(lines) + "\n")
    return folder


def simulator(number: int, steering: str = "") -> str:
    """A row with the path of another machine."""
    return rf"D:\drive\IMG\center_{number}.png,left.png,right.png,{steering or number / 10},1,0,9"


@pytest.mark.parametrize("header", ["", ",".join(drive.COLUMNS)])
def test_frames_come_in_their_order(tmp_path: Path, header: str) -> None:
    path = recorded(tmp_path / "own", [simulator(n) for n in range(6)], header)
    found, steering = drive.load(path, SHAPE)
    np.testing.assert_allclose(steering, np.arange(6) / 10, rtol=1e-6)
    assert found.arrays["image"].shape == (6, *SHAPE)
    assert [int(image.mean()) for image in found.arrays["image"]] == [0, 10, 20, 30, 40, 50]


def test_any_table_of_frames_and_steering_will_do(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "own", [f"IMG/center_{n}.png\t{n - 2}" for n in range(6)])
    table = folder / "log.tsv"
    table.write_text("frame\tsteering\n" + (folder / "driving_log.csv").read_text())
    _, steering = drive.load(table, SHAPE)
    assert steering.tolist() == [-2, -1, 0, 1, 2, 3]
    splits = drives.load(table, 1) if len(steering) > 20 else None
    assert splits is None
    with pytest.raises(UsageError, match="too few for a history of 3"):
        drives.load(table, 3)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([simulator(9)], "", r"driving_log.csv, line 1: there is no file .*center_9"),
        ([simulator(0), simulator(1, "left")], "", "line 2: steering 'left' is no finite number"),
        ([simulator(n, "0") for n in range(6)], "", "steering is 0 in all 6 rows"),
        ([simulator(0), "IMG/center_1.png,0.1"], "", "line 2: 2 cells, and the simulator writes 7"),
        (["IMG/center_0.png,0.1"], "center,angle", "line 1: there is no column steering"),
        (["0.1,2"], "steering,speed", "no column center or frame or image or path"),
        ([], ",".join(drive.COLUMNS), "has no rows"),
    ],
)
def test_faults_are_named_by_line(
    tmp_path: Path, rows: list[str], header: str, message: str
) -> None:
    path = recorded(tmp_path / "own", rows, header)
    with pytest.raises(UsageError, match=message):
        drive.load(path, SHAPE)


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"driving_log.csv: there is no such table"):
        drive.load(tmp_path, SHAPE)
