"""Each application of vision on offline data, as a person uses it: trained, stopped, resumed,
evaluated, drawn, reported, and asked about files.
"""

from __future__ import annotations

import dataclasses
import json
import re
import signal
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from dlcore.cli import main as cli
from dlcore.data.source import Batch
from dlcore.runs import catalog
from dlcore.runs.checkpoint import Checkpoints
from tests.child import built, card
from tests.report.browser import seen
from tests.runs.test_faults import interrupted

# {experiment: (what is in its answers, the number of animations in its report)}
APPLICATIONS: dict[str, tuple[set[str], int]] = {
    "detection_bccd": ({"objects", "width", "height"}, 0),
    "detr_scenes": ({"objects", "width", "height"}, 0),
    "segmentation_camvid": ({"classes", "confidence", "width", "height"}, 0),
    "segmentation_nuclei": ({"count", "instances", "width", "height"}, 0),
    "cnn_pneumonia": ({"class", "probability"}, 0),
    "faces_orl": ({"same", "probability", "threshold"}, 0),
    "faces_yale": ({"same", "probability", "threshold"}, 0),
    "video_moving_mnist": ({"first_frame", "frames_predicted"}, 12),
    "captioning_emoji": ({"caption", "probability"}, 0),
    "style_transfer": ({"style", "strength", "width", "height"}, 0),
    "cyclegan": ({"from", "to"}, 0),
    "driving_udacity": ({"steering"}, 0),
    "simclr_cifar10": ({"class", "probability"}, 0),
}
NOTICE = "What this may not be used for"
DETECTOR = (": the worst", ": by class", ": precision at", ": calibration")
FACES = ("worst mistakes", "Similarity of pairs", "ROC curves", "Calibration on", "Each fold")
# {experiment: parts of the headings of its report's samples}
HEADINGS: dict[str, tuple[str, ...]] = {
    "detection_bccd": DETECTOR,
    "detr_scenes": DETECTOR,
    "segmentation_camvid": ("the best by", "the worst by", "by class", "reliability"),
    "segmentation_nuclei": (NOTICE, "highest average", "lowest average", "reliability"),
    "cnn_pneumonia": (NOTICE, "confusion", "ROC", "Operating points", "reliability", "Saliency"),
    "faces_orl": FACES,
    "faces_yale": FACES,
    "video_moving_mnist": ("the best by", "the worst by", "squared error by frame", "SSIM by"),
    "captioning_emoji": ("their captions", "by length", "reliability", "Where it looks, word by"),
    "style_transfer": ("Content and style loss", "in one pass, and optimised", "total loss"),
    "cyclegan": ("as outlined, the true ones", "a classifier recognises", "recognised by digit"),
    "driving_udacity": ("over time", "by direction", "that change it most", "largest errors"),
    "simclr_cifar10": ("two views", "its nearest", "worst mistakes", "confusion", "reliability"),
}
STEPS = ["--steps", "50", "--save-every", "25", "--eval-every", "50", "--cpu-devices", "1"]

pytestmark = pytest.mark.nightly


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def written(name: str, example: Batch) -> list[str]:
    """The files of a test example that are one item for `dlcore predict`."""
    field = next(field for field in ("video", "a", "image") if field in example)
    pixels = [example[field][0]] * 2 if name.startswith("faces") else example[field][0]
    if field == "image" and not name.startswith(("faces", "driving")):
        pixels = pixels[None]
    pixels = pixels[None] if field == "a" else pixels
    images = [Image.fromarray(each[..., 0] if each.shape[-1] == 1 else each) for each in pixels]
    if field == "video":
        images[0].save("example.gif", save_all=True, append_images=images[1:])
        return ["example.gif"]
    files = [f"example{number}.png" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        image.save(file)
    return files


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    keys, animations = APPLICATIONS[name]
    stopped_and_resumed(name)
    evaluated(capsys)
    assert cli.main(["sample", "run"]) == cli.main(["report", "run"]) == 0

    files = written(name, built(name).splits.test.gather(np.arange(1)))
    answer = answered(capsys, *files)
    assert keys <= answer.keys()
    for file in answer["files"]:
        with Image.open(Path("answers") / file) as image:
            image.load()
    assert answer["files"]

    Path("no.png").write_text("no image")
    assert cli.main(["predict", "run", *files[1:], "no.png"]) == 3
    assert "no.png" in capsys.readouterr().err

    report = Path("run/report.html").read_text("utf-8")
    titles = re.findall("<h3>(.*?)</h3>", report)
    missing = [part for part in HEADINGS[name] if not any(part in title for title in titles)]
    assert not missing, titles
    page = seen(report, tmp_path)
    assert page["outside"] == page["empty"] == []
    assert page["images"] >= max(1, animations)
    assert page["gifs"] == animations


@pytest.mark.parametrize("name", APPLICATIONS)
def test_sizes_of_offline_data(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--offline` without a preset trains, and the evaluation of its run is that of its end."""
    page = catalog.load(catalog.find(name))
    sizes = dataclasses.replace(page.presets.get("offline", page.config()), steps=3)
    # a batch is divided among the devices of the tests
    sizes = dataclasses.replace(sizes, batch=max(sizes.batch, jax.device_count()))
    words = ["--steps", "3", "--batch", str(sizes.batch), "--cpu-devices", "1", "--out", "run"]
    assert cli.main(["train", name, "--offline", *words]) == 0
    record = card(Path("run"))
    assert record["config"] == json.loads(json.dumps(dataclasses.asdict(sizes)))
    assert (record["status"], record["step"]) == ("done", 3)
    evaluated(capsys)


def stopped_and_resumed(name: str) -> None:
    """Trains the preset "tiny" offline as "run", which SIGTERM stops in between."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Checkpoints, "save", interrupted(Checkpoints.save, signal.SIGTERM))
        words = ["train", name, "--offline", "--preset", "tiny", *STEPS, "--out", "run"]
        assert cli.main(words) == 75
    assert 0 < card(Path("run"))["step"] < 50
    assert cli.main(["resume", "run"]) == 0
    record = card(Path("run"))
    assert (record["status"], record["step"]) == ("done", 50)


def answered(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The one answer of "run" to what the words name, which is in the folder "answers" too."""
    capsys.readouterr()
    assert cli.main(["predict", "run", *words, "--json", "--out", "answers"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    answer: dict[str, Any] = json.loads(line)
    assert json.loads(Path("answers/predictions.jsonl").read_text("utf-8")) == answer
    return answer


def evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    """`dlcore eval` prints what the end of the training measured, but for how long things took."""
    capsys.readouterr()
    assert cli.main(["eval", "run"]) == 0
    printed = capsys.readouterr().out
    lines = dict(line.split(": ", 1) for line in printed.splitlines() if ": " in line)
    for split, metrics in card(Path("run"))["results"].items():
        found = dict(each.rsplit(" ", 1) for each in lines[split].split("  "))
        for name, value in metrics.items():
            if "seconds" not in name and "time" not in name:
                assert float(found[name]) == pytest.approx(value, rel=1e-4, nan_ok=True), name
