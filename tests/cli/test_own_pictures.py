"""Own GIFs, captioned pictures, photographs, two styles, people, drives and images of classes: a
run on each, and its answers.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image, ImageSequence

from dlcore.cli import main as cli
from dlcore.data.sets import faces
from tests.child import card
from tests.data.own import made
from tests.data.own.test_drive import recorded, simulator

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))


def train(name: str, *words: str, steps: int = 50) -> int:
    settings = ["--preset", "tiny", "--steps", str(steps), "--eval-every", "25", "--out", "run"]
    return cli.main(["train", name, *settings, "--cpu-devices", "1", *words])


def answer(capsys: Capture, *words: str) -> dict[str, object]:
    capsys.readouterr()
    assert cli.main(["predict", "run", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[0])


def clips(folder: Path, count: int) -> Path:
    """A bright square that moves by a pixel a frame, in GIFs."""
    folder.mkdir()
    for i in range(count):
        frames = np.zeros((8, 16, 16), np.uint8)
        for t, frame in enumerate(frames):
            frame[i % 8 : i % 8 + 4, t : t + 4] = 100 + i
        first, *rest = map(Image.fromarray, frames)
        first.save(folder / f"{i}.gif", save_all=True, append_images=rest)
    return folder


@pytest.mark.nightly
@pytest.mark.parametrize("steps", [2, 50])
def test_a_folder_of_gifs(steps: int, capsys: Capture) -> None:
    folder = clips(Path("clips"), 60)
    assert train("video_moving_mnist", "--data", str(folder), steps=steps) == 0
    assert card(Path("run"))["results"]["test"]["ssim"] < 1
    found = answer(capsys, "clips/3.gif", "--start", "0", "--out", "made")
    assert found["frames_predicted"] == 4
    (name,) = found["files"]  # type: ignore[misc]
    with Image.open(Path("made") / name) as image:
        assert 4 < image.n_frames <= 8  # Pillow shows equal frames in a row as one
    Path("walks/one").mkdir(parents=True)
    with Image.open("clips/3.gif") as image:
        for t, frame in enumerate(ImageSequence.Iterator(image)):
            frame.convert("L").save(f"walks/one/frame{t}.png")
    for folder in ("walks", "walks/one"):
        again = answer(capsys, folder, "--start", "0")
        assert again.pop("file") == "walks/one"
        assert again.items() <= found.items()
    Path("bad.gif").write_text("no video")
    assert cli.main(["predict", "run", "bad.gif"]) == 3


@pytest.mark.nightly
def test_captioned_pictures(capsys: Capture) -> None:
    rows = []
    for i in range(60):
        made.image(Path("pets") / f"{i}.png", i, mode="RGB")
        rows.append(f"{i}.png\ta {('big', 'small')[i % 2]} {('cat', 'dog')[i % 3 == 0]}")
    Path("pets/captions.tsv").write_text("\n".join(["path\tcaption", *rows]) + "\n")
    assert train("captioning_emoji", "--data", "pets") == 0
    found = answer(capsys, "pets/7.png")
    assert 0 < float(found["probability"]) <= 1  # type: ignore[arg-type]


@pytest.mark.nightly
def test_photographs_and_a_style_of_ones_own(capsys: Capture) -> None:
    for i in range(60):
        made.image(Path("photographs") / f"{i}.png", i, (40, 30), "RGB")
    made.image(Path("style.png"), 99, (30, 30), "RGB")
    assert train("style_transfer", "--data", "photographs", "--style", "style.png") == 0
    found = answer(capsys, "photographs/3.png", "--strength", "0.5")
    assert found == {**found, "style": "style.png", "width": 40, "height": 30}


@pytest.mark.nightly
def test_two_folders_of_pictures(capsys: Capture) -> None:
    made.image_folder(Path("two"), 60, ("ink", "oil"))
    assert train("cyclegan", "--data", "two") == 0
    assert set(card(Path("run"))["results"]["test"]) >= {"cycle_error"}
    found = answer(capsys, "two/ink/003.png", "--out", "one.png")
    assert (found["from"], found["to"]) == ("ink", "oil")
    with Image.open("one.png") as image:
        assert image.size == (28, 28)


@pytest.mark.nightly
def test_a_folder_of_people(capsys: Capture) -> None:
    drawn = faces.drawn((16, 16)).arrays
    for number, (image, label) in enumerate(zip(drawn["image"], drawn["label"], strict=True)):
        if label < 6:
            Path(f"people/p{label}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(f"people/p{label}/{number}.png")
    assert train("faces_orl", "--data", "people") == 0
    assert 0 <= card(Path("run"))["results"]["test"]["eer"] <= 1
    found = answer(capsys, "people/p0/0.png", "people/p0/1.png", "--out", "made")
    assert found["same"] == (found["probability"] >= 0.5)  # type: ignore[operator]
    assert len(list(Path("made").glob("*.png"))) == 1


@pytest.mark.nightly
def test_a_drive(capsys: Capture) -> None:
    folder = recorded(Path("drive"), [simulator(n, f"{n % 9 / 10}") for n in range(70)], frames=70)
    assert train("driving_udacity", "--data", str(folder)) == 0
    assert card(Path("run"))["results"]["test"].keys() >= {"mse", "last_mse"}
    frames = [f"drive/IMG/center_{n}.png" for n in (3, 4)]
    found = answer(capsys, *frames, "--saliency", "--out", "made.png")
    assert found == {"inputs": frames, "steering": found["steering"], "files": ["made.png"]}
    assert -1 <= float(found["steering"]) <= 1  # type: ignore[arg-type]
    Path("bad.png").write_text("no frame")
    assert cli.main(["predict", "run", frames[0], "bad.png"]) == 3


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "metric"), [("cnn_pneumonia", "auc"), ("simclr_cifar10", "probe_accuracy_10")]
)
def test_images_of_two_classes(name: str, metric: str, capsys: Capture) -> None:
    folder = made.image_folder(Path("scans"), 60, ("ill", "well"))
    assert train(name, "--data", str(folder)) == 0
    assert 0 <= card(Path("run"))["results"]["test"][metric] <= 1
    found = answer(capsys, "scans/ill/003.png", "--out", "made")
    assert found["class"] in ("ill", "well")
    assert 0.5 <= float(found["probability"]) <= 1  # type: ignore[arg-type]
    Path("bad.png").write_text("no image")
    assert cli.main(["predict", "run", "bad.png"]) == 3


@pytest.mark.quick
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("video_moving_mnist", "holds no videos"),
        ("captioning_emoji", "holds no table"),
        ("style_transfer", "takes a folder of photographs"),
        ("cyclegan", "holds no folders"),
    ],
)
def test_an_empty_folder_is_refused_before_the_first_step(
    name: str, message: str, capsys: Capture
) -> None:
    Path("empty").mkdir()
    assert train(name, "--data", "empty") == 2
    assert message in capsys.readouterr().err
    assert not Path("run").exists()


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["gan_mnist", "gan_fashion_mnist", "flow_mnist"])
def test_own_images_train_a_generator(name: str, capsys: Capture) -> None:
    """Without a distance, of which a warning tells; of as many classes as there are."""
    folder = made.image_folder(Path("pets"), 40)
    assert train(name, "--data", str(folder), "--batch", "16") == 0
    assert "no such distance is measured" in capsys.readouterr().err
    assert "frechet" not in json.dumps(card(Path("run")).get("results") or {})
    found = answer(capsys, "--count", "3", "--out", "made")
    assert found.get("class") == (None if name == "gan_fashion_mnist" else "cat")
    assert len(list(Path("made").glob("*.png"))) == 3
    assert cli.main(["sample", "run"]) == 0
