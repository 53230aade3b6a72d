"""Which frames of a folder or a drive are answered together, and how."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dlcore.data.facts import Facts
from dlcore.errors import UsageError
from dlcore.export import answers
from dlcore.tasks.driving_predictor import SteeringPredictor
from dlcore.train.predictor import in_folder
from tests.data.own.test_drive import recorded, simulator

pytestmark = pytest.mark.quick


def steering_predictor(history: int) -> SteeringPredictor:
    """One that lists files and formats answers, without a model."""
    return SteeringPredictor(None, Facts(history=history))  # type: ignore[arg-type]


def listed(predictor: SteeringPredictor, folder: Path) -> list[str]:
    """The frames that `dlcore predict` reads of a folder."""
    return [file.name for file in answers.files_of([folder], in_folder(predictor))]


def test_a_folder_of_frames_is_read_by_their_numbers(tmp_path: Path) -> None:
    folder, predictor = tmp_path / "frames", steering_predictor(3)
    folder.mkdir()
    with pytest.raises(UsageError, match="frames holds no images"):
        listed(predictor, folder)
    for number in (1, 10):
        Image.new("L", (4, 4)).save(folder / f"frame{number}.png")
    with pytest.raises(UsageError, match="frames has 2 frames, and this model takes 3 at a time"):
        listed(predictor, folder)
    for number in (9, 2):
        Image.new("L", (4, 4)).save(folder / f"frame{number}.png")
    # a moment for each frame that has two before it
    numbers = (1, 2, 9, 2, 9, 10)
    assert listed(predictor, folder) == [f"frame{number}.png" for number in numbers]
    (folder / "more").mkdir()
    with pytest.raises(UsageError, match="holds a folder, more: name folders that hold frames"):
        listed(predictor, folder)


def test_a_recorded_drive_is_read_in_the_order_of_its_table(tmp_path: Path) -> None:
    order = [3, 0, 5, 4, 1, 2]
    folder = recorded(tmp_path / "own", [simulator(number, "0") for number in order])
    for side in ("left", "right"):
        Image.new("L", (4, 4)).save(folder / "IMG" / f"{side}_0.png")
    for named in (folder, folder / "IMG"):
        assert listed(steering_predictor(1), named) == [f"center_{number}.png" for number in order]
        moments = [f"center_{number}.png" for number in (3, 0, 0, 5, 5, 4, 4, 1, 1, 2)]
        assert listed(steering_predictor(2), named) == moments
    (folder / "IMG" / "center_5.png").unlink()
    named = [name.rpartition("\\")[2] for name in listed(steering_predictor(2), folder)]
    assert named == moments  # two of which cannot be read
    log = (folder / "driving_log.csv").read_text()
    (folder / "driving_log.csv").write_text(log.replace(",0,", ",,", 1))
    assert len(listed(steering_predictor(2), folder)) == len(moments), "steering is not needed"
    (folder / "driving_log.csv").write_text("center,steering\n")
    with pytest.raises(UsageError, match=r"driving_log.csv has no rows"):
        listed(steering_predictor(2), folder)


@pytest.mark.parametrize(("value", "side"), [(-0.25, "left"), (0.0, "straight"), (0.25, "right")])
def test_an_answer_names_its_side(value: float, side: str) -> None:
    line = steering_predictor(1).line({"steering": value})
    assert line == f"steering {value:+.3f} ({side})"
