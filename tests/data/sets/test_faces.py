"""Folds of people: nobody is in training and test, and everybody is tested once at least."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcore.data.sets import faces
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(("people", "folds", "held_out"), [(40, 5, 0), (38, 5, 10), (6, 3, 0)])
def test_folds_cover_all_people(people: int, folds: int, held_out: int) -> None:
    found = faces.folds_of(people, folds, held_out)
    assert {len({*part}) for part in found} == {held_out or people // folds}
    assert {*range(people)} == {person for part in found for person in part}
    assert found == faces.folds_of(people, folds, held_out)
    if not held_out:
        assert len([person for part in found for person in part]) == people


def test_drawn_faces_differ_by_person_more_than_by_image() -> None:
    source = faces.load("orl_faces", "offline", (24, 20), 5).train
    image = source.arrays["image"].astype(float).reshape(len(source), -1)
    assert source.arrays["image"].shape == (160, 24, 20, 1)
    label = source.arrays["label"]
    within = np.mean([image[label == n].var(0).mean() for n in range(20)])
    assert image.var(0).mean() > 1.5 * within
    assert (source.arrays["learns"].mean(0) == 0.8).all()


def folder(path: Path, counts: dict[str, int]) -> Path:
    generator = np.random.default_rng(0)
    for name, count in counts.items():
        (path / name).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 255, (9, 8, 3), np.uint8)
            Image.fromarray(pixels).save(path / name / f"{number}.png")
    return path


def test_a_folder_of_people_is_divided_whatever_the_published_set_holds_out(
    tmp_path: Path,
) -> None:
    path = folder(tmp_path / "own", {"ann": 3, "bo": 2, "cy": 2, "di": 2})
    splits = faces.load("extended_yale_b", path, (8, 8), 2, held_out=10)
    assert splits.facts.people == ["ann", "bo", "cy", "di"]
    assert splits.train.arrays["image"].shape == (9, 8, 8, 1)
    assert sorted(map(len, splits.facts.held_out)) == [2, 2]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"ann": 5}, r"shows 1 person \(ann\): verification needs 4"),
        ({"ann": 2, "bo": 2, "cy": 2}, "shows 3 people"),
        ({"ann": 2, "bo": 1, "cy": 2, "di": 2}, "one image of bo"),
        ({"train/ann": 2, "train/bo": 2, "test/cy": 2, "test/di": 2}, "has a split test"),
    ],
)
def test_what_cannot_be_verified_is_refused(
    tmp_path: Path, counts: dict[str, int], message: str
) -> None:
    path = folder(tmp_path / "own", counts)
    with pytest.raises(UsageError, match=message):
        faces.load("orl_faces", path, (8, 8), 2)


def test_other_sets_and_folds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no set of faces"):
        faces.load("mnist", "offline", (8, 8), 2)
    with pytest.raises(UsageError, match="two at least"):
        faces.folds_of(3, 2)
    with pytest.raises(UsageError, match="--folds 7 of 6 people: give 6 at most"):
        faces.folds_of(6, 7)
    empty = folder(tmp_path / "own", {"ann": 2, "bo": 2, "cy": 2, "di": 2})
    (empty / "di" / "0.png").write_text("no image")
    with pytest.raises(UsageError, match="cannot be read as an image"):
        faces.load("orl_faces", empty, (8, 8), 2)


def test_people_that_no_fold_tests_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="test 12 of 38 people: --held-out 10 tests all"):
        faces.folds_of(38, 4, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for people, folds in ((38, 4), (7, 3), (20, 6)):
            faces.folds_of(people, folds, -(-people // folds))
