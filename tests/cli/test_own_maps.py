"""Own images with masks from the command line: trained, predicted, and drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from dlcore.cli import main as cli
from tests.child import card
from tests.data.own import made
from tests.data.own.test_instance_masks import instance_folder
from tests.data.own.test_masks import folder_of

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.nightly


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def results(name: str, folder: Path, *more: str) -> dict[str, float]:
    """The test metrics of a run on one's own data."""
    words = ["--preset", "tiny", "--data", str(folder), "--steps", "50", "--out", "run", *more]
    assert cli.main(["train", name, *words, "--cpu-devices", "1"]) == 0
    return card(Path("run"))["results"]["test"]


def answer(capsys: Capture, image: Path) -> dict[str, Any]:
    """The answer to an image, beside a file that is none."""
    capsys.readouterr()
    Path("no.png").write_text("no image")
    words = ["predict", "run", str(image), "no.png", "--json", "--out", "answers"]
    assert cli.main(words) == 3
    out, err = capsys.readouterr()
    assert "no.png cannot be read as an image" in err
    found = json.loads(out)
    assert json.loads(Path("answers/predictions.jsonl").read_text("utf-8")) == found
    return found


def test_images_with_classes(capsys: Capture) -> None:
    found = results("segmentation_camvid", folder_of(Path("mine"), 60), "--size", "24", "32")
    assert {"miou", "iou_sky", "iou_road", "iou_tree"} <= found.keys()
    predicted = answer(capsys, made.image(Path("new.png"), 7, (41, 30), "RGB"))
    assert (predicted["width"], predicted["height"]) == (41, 30)
    assert predicted["classes"].keys() <= {"sky", "road", "tree"}
    assert sum(predicted["classes"].values()) == pytest.approx(1, abs=1e-5)
    coloured, labels = (Image.open(Path("answers") / file) for file in predicted["files"])
    assert coloured.size == labels.size == (41, 30)
    counts = np.bincount(np.asarray(labels).ravel(), minlength=3) / (41 * 30)
    shares = [predicted["classes"].get(name, 0.0) for name in ("sky", "road", "tree")]
    np.testing.assert_allclose(counts, shares, atol=1e-5)


def test_images_with_instances(capsys: Capture) -> None:
    numbers = np.zeros((24, 30), np.uint16)
    numbers[2:10, 2:10], numbers[12:20, 15:25] = 1, 300
    folder = instance_folder(Path("mine"), numbers)
    found = results(
        "segmentation_nuclei", folder, "--batch", "8", "--tile", "16", "--smallest", "4"
    )
    assert {"average_precision", "baseline_average_precision", "dice"} <= found.keys()
    predicted = answer(capsys, folder / "test" / "images" / "1.png")
    assert (predicted["width"], predicted["height"]) == (30, 24)
    assert predicted["count"] == len(predicted["instances"])
    for each in predicted["instances"]:
        assert 4 <= each["pixels"] <= 24 * 30
        assert 0 <= each["x"] < 30
        assert 0 <= each["y"] < 24
        assert 0 <= each["confidence"] <= 1
