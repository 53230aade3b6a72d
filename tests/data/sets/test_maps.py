"""Label maps: generated scenes, tiles and borders of instances, and calibrating examples."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from dlcore.data.sets import diagnoses, instances, maps, synthetic_maps
from dlcore.errors import UsageError
from tests.data.own import made

pytestmark = pytest.mark.quick


def test_generated_scenes_are_the_same_each_time_and_have_every_class() -> None:
    images, masks = synthetic_maps.shapes(20, 23, 30, 3)
    again = synthetic_maps.shapes(20, 23, 30, 3)
    np.testing.assert_array_equal(images, again[0])
    np.testing.assert_array_equal(masks, again[1])
    assert images.shape == (20, 23, 30, 3)
    assert masks.shape == (20, 46, 60)
    assert set(np.unique(masks)) == {0, 1, 2, 3}
    assert (images != synthetic_maps.shapes(20, 23, 30, 4)[0]).any()


@pytest.mark.slow
def test_the_label_of_a_pixel_is_that_of_its_centre() -> None:
    labels = np.arange(6 * 9).reshape(1, 6, 9)
    small = maps.nearest(labels, np.zeros((1, 2, 3, 3)))
    np.testing.assert_array_equal(small, labels[:, 1::3, 1::3])
    found = maps.load("camvid", "offline", (1, 1))
    assert found.train.arrays["label_map"].shape[1:] == (46, 60)
    assert found.test.arrays["label_map"].shape[1:] == (92, 120)


def test_borders_are_what_an_erosion_takes() -> None:
    _, (numbers, *_) = synthetic_maps.cells(3, 64, 0)
    labels = instances.classes_of(numbers)
    for number in range(1, numbers.max() + 1):
        own = numbers == number
        inside = ndimage.binary_erosion(own, np.ones((3, 3)), border_value=1)
        np.testing.assert_array_equal(labels[own], np.where(inside, 1, 2)[own])
    assert (labels[numbers == 0] == 0).all()


def test_masks_of_numbers_keep_them_and_of_one_value_are_counted_by_area() -> None:
    touching = np.array([[1, 1, 2, 2]] * 2)  # without background
    np.testing.assert_array_equal(instances._numbered(touching), touching)
    np.testing.assert_array_equal(instances._numbered(np.array([[9, 0, 9, 9]])), [[1, 0, 2, 2]])


def test_tiles_cover_an_image_and_small_images_are_continued() -> None:
    image = np.arange(40 * 70, dtype=np.uint16).reshape(40, 70, 1)
    tiles = instances._tiles(([image], [np.zeros((40, 70), int)]), 32)["image"]
    assert tiles.shape == (6, 32, 32, 1)
    assert set(tiles.ravel()) == set(image.ravel())
    small = instances._tiles(([image], [np.zeros((40, 70), int)]), 48)["image"]
    np.testing.assert_array_equal(small[0, 40:, :, 0], image[39:31:-1, :48, 0])


def test_held_out_images_keep_their_size_and_instances() -> None:
    found = instances.load("nuclei_dsb2018", "offline", 100, 48)
    test = found.test.arrays
    assert found.train.arrays["image"].shape[1:] == (48, 48, 1)
    assert found.facts.notice == instances.GENERATED_NOTICE
    assert (test["size"] == 64).all()
    assert ((test["label_map"] > 0) == (test["instances"] > 0)).all()
    images = [np.zeros((4, 6, 1), np.uint8), np.zeros((5, 3, 1), np.uint8)]
    padded = instances._padded((images, [np.ones((4, 6), int), np.ones((5, 3), int)]))
    np.testing.assert_array_equal(padded["size"], [[4, 6], [5, 3]])
    assert (padded["label_map"] == 255).sum() == 6 + 15
    assert (padded["instances"] == 0).sum() == 6 + 15


def test_examples_that_calibrate_are_those_of_validation_and_no_others() -> None:
    found = diagnoses.load("pneumonia_mnist_3882", "offline")
    train, held = found.train.arrays, found.validation.arrays
    flags = train["calibrates"] == 1
    np.testing.assert_array_equal(train["image"][flags], held["image"])
    np.testing.assert_array_equal(train["label"][flags], held["label"])
    assert not held["calibrates"].any()
    assert not found.test.arrays["calibrates"].any()
    assert found.facts.class_counts == [400, 400]
    assert found.facts.notice == diagnoses.GENERATED_NOTICE


def test_the_generated_images_are_separable_as_well_as_they_say() -> None:
    from sklearn.metrics import roc_auc_score

    found = diagnoses.synthetic()
    x = found.test.arrays["image"][..., 0].astype(float)
    y = found.test.arrays["label"]
    train = found.train.arrays["image"][..., 0].astype(float)
    label = found.train.arrays["label"]
    spot = ndimage.gaussian_filter(train[label == 1].mean(0) - train[label == 0].mean(0), 1.5)
    auc = roc_auc_score(y, (x * np.where(spot > 8, spot, 0)).sum((1, 2)))
    assert auc == pytest.approx(found.facts.best_auc, abs=0.02)


def test_a_diagnosis_has_two_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    for split in ("train", "validation", "test"):
        made.image_folder(tmp_path / "scans" / split, 2, ("cold", "flu", "well"))
    with pytest.raises(UsageError, match=r"these data have 3: cold, flu, well"):
        diagnoses.load("pneumonia_mnist_3882", tmp_path / "scans")
    with pytest.raises(UsageError, match="is not a source of"):
        diagnoses.load("pneumonia_mnist_3882", "nowhere")  # type: ignore[arg-type]


def test_each_split_of_a_diagnosis_has_both_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    for split, each in (("train", 3), ("validation", 2), ("test", 2)):
        made.image_folder(tmp_path / "scans" / split, each)
    facts = diagnoses.load("pneumonia_mnist_3882", tmp_path / "scans").facts
    assert facts.class_counts == [3, 3]
    assert facts.notice == diagnoses.OWN_NOTICE
    for file in (tmp_path / "scans/validation/dog").iterdir():
        file.rename(tmp_path / "scans/validation/cat" / f"other {file.name}")
    (tmp_path / "scans/validation/dog").rmdir()
    with pytest.raises(UsageError, match=r"no image of validation is of the class 'dog'"):
        diagnoses.load("pneumonia_mnist_3882", tmp_path / "scans")


def test_the_condition_is_named_and_can_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    name, scans = "pneumonia_mnist_3882", tmp_path / "scans"
    for split in ("train", "validation", "test"):
        made.image_folder(scans / split, 4, ("abnormal", "normal"))
    expected = r"scans: the class 'normal', the second by name, .*; --condition abnormal takes"
    with pytest.warns(UserWarning, match=expected):
        usual = diagnoses.load(name, scans)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen, same = (diagnoses.load(name, scans, each) for each in ("abnormal", "normal"))
    assert (usual.facts.classes, chosen.facts.classes) == (
        ["abnormal", "normal"],
        ["normal", "abnormal"],
    )
    for split, source in usual.items():
        swapped = chosen[split].arrays  # type: ignore[attr-defined]
        np.testing.assert_array_equal(swapped["label"], 1 - source.arrays["label"])  # type: ignore[attr-defined]
        np.testing.assert_array_equal(swapped["image"], source.arrays["image"])  # type: ignore[attr-defined]
    assert same.facts.sources == usual.facts.sources
    with pytest.raises(UsageError, match=r"--condition ill: .* choose abnormal or normal"):
        diagnoses.load(name, scans, "ill")


def test_another_set_has_other_classes_and_is_refused() -> None:
    with pytest.raises(UsageError, match="'voc' is no set of label maps: choose camvid"):
        maps.load("voc", "published", (1, 1))
