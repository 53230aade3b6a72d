"""`dlcore.load`: a trained model that is called with files, arrays and lists of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

import dlcore
from dlcore.data.sets import embedded
from dlcore.errors import UsageError
from dlcore.export.model import TrainedModel
from dlcore.samples import Text
from dlcore.train.predictor import Answer

TEST = embedded.load("digits", "published").test.arrays


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    return dlcore.run("mlp_digits", preset="tiny", steps=20, out=folder, log_every=5)


@pytest.fixture(scope="module")
def model(run: Any) -> TrainedModel:
    return run.load()


@pytest.mark.slow
def test_one_input_gives_one_answer_and_several_a_list(model: TrainedModel, tmp_path: Path) -> None:
    images = TEST["image"][:3]
    one = model(images[0])
    assert {*one} == {"class", "probability", "classes"}
    assert one["class"] in model.classes
    several = model(images)
    assert [each["class"] for each in several] == [model(image)["class"] for image in images]
    assert several[0]["probability"] == pytest.approx(one["probability"], abs=1e-5)
    assert model(images[..., 0])[1] == several[1]  # without an axis for the one channel
    Image.fromarray(images[2, ..., 0]).save(tmp_path / "a.png")
    file = tmp_path / "a.png"
    for value in (file, str(file), Image.open(file)):
        assert model(value)["classes"] == pytest.approx(several[2]["classes"], abs=1e-5)
    assert model([file])[0]["class"] == several[2]["class"]
    assert len(model(file, top=2)["classes"]) == 2


@pytest.mark.slow
def test_answers_are_those_of_the_network(model: TrainedModel) -> None:
    net = model.experiment.models[0]
    batch = {"image": TEST["image"][:5], "row": np.arange(5, dtype=np.int32)}
    logits, _ = net(model.params, model.state.extra, batch, None, False)
    expected = np.asarray(jax.nn.softmax(logits))
    for each, p in zip(model(TEST["image"][:5], top=10), expected, strict=True):
        found = [each["classes"][name] for name in model.classes]
        np.testing.assert_allclose(found, p, atol=2e-6)


def test_a_model_says_what_it_is(run: Any, model: TrainedModel) -> None:
    assert model.config.steps == 20
    assert model.facts.classes == model.classes == list("0123456789")
    assert model.card["experiment"] == "mlp_digits"
    assert model.folder == run.folder
    assert "mlp_digits at step" in repr(model)
    assert {*model.params} == {"net"}


def test_what_does_not_fit_is_refused(model: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"an image here is uint8 \(8, 8, 1\), not float32"):
        model(TEST["image"][:2].astype(np.float32))
    with pytest.raises(UsageError, match="no option 'seed': it has top"):
        model(TEST["image"][0], seed=1)
    with pytest.raises(UsageError, match="generates no examples"):
        model.generate(3)
    with pytest.raises(UsageError, match="cannot be read as an image"):
        model(tmp_path / "none.png")
    with pytest.raises(UsageError, match="input 1 is None"):
        model([TEST["image"][0], None])
    with pytest.raises(UsageError, match="there is no run folder"):
        dlcore.load(tmp_path / "none")


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """A predictor without flags."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """Answers each line of a table with its length."""

    options: NoOptions = dataclasses.field(default_factory=NoOptions)
    reads = "table"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[str]:
        return [line for file in files for line in file.read_text().splitlines()]

    def batch(self, state: Any, items: Sequence[str]) -> list[Answer]:
        return [({"length": len(line)}, Text("Length", line)) for line in items]


def test_a_table_gives_a_list_however_many_rows_it_has(tmp_path: Path) -> None:
    experiment = SimpleNamespace(predictor=Rows())
    opened: Any = SimpleNamespace(experiment=experiment, state=None, folder=tmp_path)
    model, file = TrainedModel(opened), tmp_path / "rows.csv"
    for rows, lengths in (("abc\n", [3]), ("abc\nde\n", [3, 2])):
        file.write_text(rows)
        assert [each["length"] for each in model(file)] == lengths


def test_a_folder_of_seeds_asks_for_one(run: Any, tmp_path: Path) -> None:
    for seed in (0, 1):
        (tmp_path / f"seed-{seed}").mkdir()
        (tmp_path / f"seed-{seed}" / "card.json").write_text("{}")
    with pytest.raises(UsageError, match=r"2 seeds: name one of them, .*seed-0"):
        dlcore.load(tmp_path)
