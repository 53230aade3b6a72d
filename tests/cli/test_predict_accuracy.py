"""Over the test split written out as files, `dlcore predict` has the accuracy of the card, to the
last digit.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from dlcore.cli import main as cli
from dlcore.runs import catalog
from tests.child import card, tiny


def as_images(source: Any, classes: list[str], folder: Path) -> tuple[Path, list[str]]:
    """PNGs, whose names are in the order of the examples."""
    folder.mkdir()
    for number, image in enumerate(source.gather(np.arange(len(source)))["image"]):
        pixels = image[..., 0] if image.shape[-1] == 1 else image
        Image.fromarray(np.asarray(pixels)).save(folder / f"{number:05d}.png")
    return folder, [classes[i] for i in source.arrays["label"]]


def as_lines(source: Any, classes: list[str], folder: Path) -> tuple[Path, list[str]]:
    """A text file with a text a line."""
    folder.mkdir()
    file = folder / "texts.txt"
    file.write_text("\n".join(source.texts) + "\n", encoding="utf-8")
    return file, [classes[i] for i in source.arrays["label"]]


def as_table(source: Any, classes: list[str], folder: Path) -> tuple[Path, list[str]]:
    """A CSV file, with the target among the columns."""
    folder.mkdir()
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([source.columns, *source.cells])
    return folder / "rows.csv", [classes[i] for i in source.arrays["label"]]


# what a tiny network needs to tell two classes apart
MORE = {
    "cnn_fashion_mnist": ["--steps", "300"],
    "cnn_pneumonia": ["--steps", "300", "--recipe.lr", "1e-2"],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("mlp_table", as_table),
        pytest.param("bert_clinc", as_lines, marks=pytest.mark.nightly),
        pytest.param("bert_polarity", as_lines, marks=pytest.mark.nightly),
        pytest.param("cnn_mnist", as_images, marks=pytest.mark.nightly),
        pytest.param("resnet_cifar10", as_images, marks=pytest.mark.nightly),
        pytest.param("vit_fashion_mnist", as_images, marks=pytest.mark.nightly),
        pytest.param("rnn_sequential_mnist", as_images, marks=pytest.mark.nightly),
        pytest.param("lru_sequential_mnist", as_images, marks=pytest.mark.nightly),
        pytest.param("cnn_fashion_mnist", as_images, marks=pytest.mark.nightly),
        pytest.param("mlp_fashion_mnist", as_images, marks=pytest.mark.nightly),
        pytest.param("cnn_pneumonia", as_images, marks=pytest.mark.nightly),
        pytest.param("bert_sst2", as_lines, marks=pytest.mark.nightly),
        pytest.param("cnn_sst2", as_lines, marks=pytest.mark.nightly),
        pytest.param("rnn_sst2", as_lines, marks=pytest.mark.nightly),
        pytest.param("intents_banking77", as_lines, marks=pytest.mark.nightly),
    ],
)
def test_predict_has_the_accuracy_of_the_card(
    name: str,
    written: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    run = tmp_path / "run"
    words = ["--preset", "tiny", "--offline", *MORE.get(name, ["--steps", "30"])]
    words += ["--eval-every", str(int(words[4]) // 2)]
    assert cli.main(["train", name, *words, "--cpu-devices", "1", "--out", str(run)]) == 0
    page = catalog.load(catalog.find(name))
    splits = page.data(tiny(name), "offline")
    files, labels = written(splits.test, splits.facts.classes, tmp_path / "files")
    capsys.readouterr()
    assert cli.main(["predict", str(run), str(files), "--json"]) == 0
    answers = [json.loads(line)["class"] for line in capsys.readouterr().out.splitlines()]
    right = sum(a == b for a, b in zip(answers, labels, strict=True))
    assert len({*answers}) > 1, "a model that has learned nothing proves nothing"
    results = card(run)["results"]["test"]
    # of several objectives that of the network
    key = "accuracy" if "accuracy" in results else "net/accuracy"
    assert right / len(labels) == results[key]
