"""What `dlcore data` says of images with boxes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.cli import main as cli
from dlcore.data.own.box_summary import summary
from dlcore.data.own.kinds import kind
from tests.data.own import boxed


def test_counts_by_class_and_split(tmp_path: Path) -> None:
    found = summary(boxed.yolo(tmp_path, (8, 4, 2)))
    assert not found.problems
    counts, sizes, *_ = found.tables
    assert counts.header == ("class", "train", "validation", "test")
    assert counts.rows == (("cat", 4, 2, 1), ("dog", 4, 2, 1), ("images", 8, 4, 2))
    assert sizes.rows[0] == ("width", 12, 12, 12)
    (shown,) = found.examples
    assert len(shown.images) == 8
    assert found.command.endswith(f"--data {tmp_path} --max-boxes 32")


def test_the_command_takes_coco_and_lists_all_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = boxed.coco(tmp_path)
    assert kind(file)[0] == kind(tmp_path)[0] == "boxes"
    assert cli.main(["data", str(tmp_path)]) == 0
    assert "taken for boxes" in capsys.readouterr().out
    content = boxed.coco_content(40, tmp_path / "images")["annotations"]
    content[3]["bbox"], content[9]["bbox"] = [-9, 0, 10, 10], [0, 0, 0, 0]
    boxed.coco(tmp_path, annotations=content)
    assert cli.main(["data", str(file)]) == 1
    out = capsys.readouterr().out
    assert "2 problems:" in out
    assert "annotation 3: the box [-9, 0, 1, 10] reaches 9 pixels outside" in out
    assert "annotation 9: the box [0, 0, 0, 0] has no area" in out
