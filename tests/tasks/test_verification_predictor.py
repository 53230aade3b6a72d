"""`dlcore predict RUN a.png b.png`: whether two pictures show one person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

import dlcore
from dlcore.cli import main as cli
from dlcore.data.facts import Facts
from dlcore.data.sets import faces
from dlcore.data.source import arrays
from dlcore.errors import UsageError
from dlcore.export import answers as answering
from dlcore.tasks import verification, verification_predictor
from dlcore.train.predictor import in_folder
from tests.child import card
from tests.tasks.test_predictors import untrained


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn faces of six people, in a folder each."""
    folder = tmp_path_factory.mktemp("people")
    arrays = faces.drawn((16, 16)).arrays
    for number, (image, label) in enumerate(zip(arrays["image"], arrays["label"], strict=True)):
        if label < 6:
            (folder / f"p{label}").mkdir(exist_ok=True)
            Image.fromarray(image[..., 0]).save(folder / f"p{label}" / f"{number:03d}.png")
    return folder


@pytest.mark.nightly
def test_a_folder_of_people_trains_and_two_pictures_are_compared(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    run = tmp_path / "run"
    dlcore.run("faces_orl", preset="tiny", data=str(people), out=run, steps=4)
    results = card(run)["results"]["test"]
    files = [str(people / "p0" / f"{n:03d}.png") for n in (0, 1)]
    other = [files[0], str(people / "p1" / "008.png")]
    capsys.readouterr()
    assert cli.main(["predict", str(run), *files, *other, "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["inputs"] for each in answers] == [files, other]
    for each in answers:
        assert each["same"] == (each["probability"] >= 0.5)
        assert each["threshold"] == pytest.approx(results["threshold"], abs=1e-4)
    model = dlcore.load(run)
    assert model((files[0], files[0]))["similarity"] == pytest.approx(1, abs=1e-5)
    both = model([tuple(files), tuple(other)])
    assert [each["probability"] for each in both] == [each["probability"] for each in answers]
    odd = [*files, other[1]]
    assert cli.main(["predict", str(run), *odd]) == 2
    assert "takes 2 files at a time, and there are 3" in capsys.readouterr().err
    (tmp_path / "no.png").write_text("nothing")
    assert cli.main(["predict", str(run), files[0], str(tmp_path / "no.png")]) == 3
    assert "no.png cannot be read as an image" in capsys.readouterr().err


@pytest.mark.quick
def test_a_folder_of_images_alone_is_read_pair_by_pair(tmp_path: Path) -> None:
    predictor = verification_predictor.PairPredictor(None, Facts())  # type: ignore[arg-type]
    for name in ("anna1", "anna2", "eva1", "eva2"):
        Image.new("L", (4, 4)).save(tmp_path / f"{name}.png")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    listed = answering.files_of([tmp_path], in_folder(predictor))
    assert [file.stem for file in listed] == ["anna1", "anna2", "eva1", "eva2"]
    assert [file.stem for file in answering.files_of([tmp_path])] == [file.stem for file in listed]
    (tmp_path / "b.txt").write_text("x")
    with pytest.raises(UsageError, match=r"b.txt, which is no image: name two images"):
        answering.files_of([tmp_path], in_folder(predictor))
    for wrong in (Image.new("L", (4, 4)), [5]):
        with pytest.raises(UsageError, match="compares a list of two images, not"):
            predictor.item(wrong)  # type: ignore[arg-type]


def test_pictures_are_reduced_as_the_training_images_were(people: Path, tmp_path: Path) -> None:
    """Those of published sets by a box filter, one's own bilinearly: equal to the bit."""
    images = np.random.default_rng(0).integers(0, 255, (2, 112, 92, 1), np.uint8)
    source = arrays("orl_faces", "1", "train", {"image": images, "label": np.arange(2)})
    reduced = faces._resized(source, (16, 16)).arrays["image"]
    file = tmp_path / "face.pgm"
    Image.fromarray(images[0, ..., 0]).save(file)
    published: Any = untrained("faces_orl")[0].predictor
    np.testing.assert_array_equal(published.item((file, Image.open(file))), [reduced[0]] * 2)
    large = people / "p0" / "large.png"
    Image.fromarray(images[1, ..., 0]).save(large)
    splits = faces.load("orl_faces", people, (16, 16), 2)
    own = verification_predictor.predictor(published.model, splits.facts)
    row = sorted(people.glob("*/*.png")).index(large)
    found = own.item((large, large))[0]
    np.testing.assert_array_equal(found, splits.train.arrays["image"][row])
    assert (found != reduced[1]).any()
    large.unlink()


@pytest.mark.slow
def test_probabilities_are_the_mean_over_folds_and_need_results() -> None:
    experiment, state = untrained("faces_orl")
    predictor: Any = experiment.predictor
    images = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 1), np.uint8)
    with pytest.raises(UsageError, match="no results on unseen people"):
        predictor.batch(state, [predictor.item((images[0], images[1]))])
    known = predictor.with_results({"test": {"same_slope": 10.0, "same_intercept": -5.0}})
    items = [known.item((images[0], images[1])), known.item((images[1], images[2]))]
    (first, sample), _ = known.batch(state, items)
    (alone, _), = known.batch(state, items[:1])  # fmt: skip
    assert first["probability"] == pytest.approx(alone["probability"], abs=1e-5)
    assert first["threshold"] == 0.5
    batch = verification.arrays_of({"image": np.stack(items[0]), "row": np.arange(2)})
    embed = verification.embedding_of(predictor.model)
    one, two = np.asarray(embed(state.params, state.extra, batch), np.float64)
    cosine = (one * two).sum(-1)
    assert len(cosine) > 1
    p = 1 / (1 + np.exp(-(10 * cosine - 5)))
    for name, expected in (
        ("probability", p.mean()),
        ("deviation", p.std()),
        ("similarity", cosine.mean()),
    ):
        assert first[name] == pytest.approx(expected, abs=1e-5)
    assert sample.images.shape == (1, 16, 34, 1)
    assert known.line(first).startswith(("same person", "different people"))
    for wrong, message in (((images[0],), "two images"), ((images[0], images[1][:4]), "uint8")):
        with pytest.raises(UsageError, match=message):
            known.item(wrong)
