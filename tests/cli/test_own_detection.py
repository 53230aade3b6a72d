"""Own images with boxes from the command line: trained, predicted, and each fault before a step."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import pytest

from dlcore.cli import main as cli
from tests.child import card
from tests.data.own import boxed


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def train(experiment: str, path: Path, *more: str) -> int:
    words = ["--preset", "tiny", "--data", str(path), "--out", "run", "--cpu-devices", "1", *more]
    return cli.main(["train", experiment, *words])


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("experiment", "kind"),
    [("detection_bccd", "coco"), ("detr_scenes", "yolo")],
)
def test_it_trains_and_predicts(
    experiment: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("mine")
    path = boxed.coco(folder) if kind == "coco" else boxed.yolo(folder, (32, 8, 8))
    assert train(experiment, path, "--steps", "50") == 0
    found = card(Path("run"))
    assert found["results"]["test"].keys() >= {"map_50", "ap_50_cat", "ap_50_dog", "threshold"}
    capsys.readouterr()
    Path("no.png").write_text("no image")
    image = boxed.picture(Path("new.png"), 99)
    assert cli.main(["predict", "run", str(image), "no.png", "--json", "--threshold", "0"]) == 3
    out, err = capsys.readouterr()
    answer = json.loads(out.splitlines()[0])
    assert (answer["width"], answer["height"]) == boxed.SIZE
    assert {each["class"] for each in answer["objects"]} <= {"cat", "dog"}
    for each in answer["objects"]:
        assert 0 <= each["box"]["left"] < each["box"]["right"] <= boxed.SIZE[0]
        assert 0 <= each["box"]["top"] < each["box"]["bottom"] <= boxed.SIZE[1]
    assert "no.png cannot be read as an image" in err


def test_a_box_outside_its_image_stops_before_the_first_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = boxed.coco_content(40, Path("mine/images"))["annotations"]
    content[11]["bbox"] = [30, 0, 20, 5]
    file = boxed.coco(Path("mine"), annotations=content)
    assert train("detection_bccd", file) == 2
    err = capsys.readouterr().err
    assert f"{file}, annotation 11: the box [30, 0, 50, 5] reaches 10 pixels outside" in err
    assert not Path("run").exists()
