"""Instances: touching ones are separated, and measured as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from dlcore import sharding
from dlcore.data.sets import instances as sets
from dlcore.data.sets import synthetic_maps
from dlcore.data.source import arrays, first
from dlcore.metrics.calibration import reliability
from dlcore.metrics.segmentation import average_precision, matches
from dlcore.samples import Plot, Text
from dlcore.tasks import instances, instances_samples
from dlcore.train.evaluators import Collector
from dlcore.train.step import State

pytestmark = pytest.mark.quick


def certain(numbers: np.ndarray) -> np.ndarray:
    """One-hot probabilities of the true classes."""
    return np.eye(3, dtype=np.float32)[sets.classes_of(numbers)]


def test_of_the_true_classes_the_true_instances_come_back() -> None:
    _, maps = synthetic_maps.cells(10, 64, 0)
    scores = []
    for numbers in maps:
        found = instances.separated(certain(numbers), 16)
        assert (found > 0).sum() <= (numbers > 0).sum()
        scores.append(average_precision(numbers, found))
    assert np.mean(scores) > 0.85  # cells at the rim of an image may be too small


def test_two_instances_that_touch_are_two() -> None:
    numbers = np.zeros((12, 20), int)
    numbers[2:10, 2:10], numbers[2:10, 10:18] = 1, 2
    found = instances.separated(certain(numbers), 16)
    assert average_precision(numbers, found) == 1
    assert found.max() == 2
    assert instances.bright_areas((numbers > 0)[..., None].astype(np.uint8) * 90).max() == 1


@pytest.mark.parametrize("blur", [0.5, 0.8])
def test_uncertain_borders_belong_to_the_nearest_inside(blur: float) -> None:
    """Probabilities that fall gradually, as a network's do: no instance takes another's border."""
    numbers = np.zeros((40, 60), int)
    numbers[5:19, 4:18], numbers[5:19, 24:38], numbers[22:36, 40:54] = 1, 2, 3
    p = ndimage.gaussian_filter(certain(numbers), (blur, blur, 0))
    found = instances.separated(p / p.sum(-1, keepdims=True), 16)
    assert found.max() == 3
    assert average_precision(numbers, found) == 1


def test_an_area_without_an_inside_is_an_instance_and_a_small_one_is_none() -> None:
    p = np.zeros((12, 12, 3), np.float32)
    p[..., 0] = 1
    p[1:3, 1:11] = (0, 0, 1)  # 20 pixels of border
    p[8:10, 1:4] = (0, 0, 1)  # 6
    found = instances.separated(p, 16)
    assert found.max() == 1
    assert (found[1:3, 1:11] == 1).all()
    assert instances.separated(p, 5).max() == 2
    p[:] = (1, 0, 0)
    assert not instances.separated(p, 1).any()


def test_scores_by_hand() -> None:
    true = np.zeros((10, 10), int)
    true[:4, :5], true[6:, :5] = 1, 2
    found = np.where(true == 1, 1, 0)
    made = instances.scores(instances.measures([true, true], [true, found]))
    assert made["average_precision"] == pytest.approx((1 + 1 / 2) / 2)
    assert made["average_precision_50"] == pytest.approx((1 + 1 / 2) / 2)
    assert made["iou"] == pytest.approx(60 / 80)
    assert made["dice"] == pytest.approx(2 * 60 / (80 + 60))
    assert made["count_error"] == pytest.approx(0.5)


def test_confidences_are_measured_against_true_instances_by_hand() -> None:
    true, p = np.zeros((8, 20), int), np.full((8, 20, 3), (1.0, 0.0, 0.0), np.float32)
    true[1:5, 1:5], true[1:5, 12:18] = 1, 2
    p[1:5, 1:5] = (0.25, 0.75, 0)  # the first one
    p[1:5, 8:15] = (0.125, 0.875, 0)  # the second one: IoU 12 / 40
    found, confidence = instances.found_in(p[None], np.array([[8, 20]]), 4)
    np.testing.assert_allclose(np.concatenate(confidence), [0.75, 0.875])
    np.testing.assert_array_equal(instances.matched([true], found), [True, False])
    error = reliability(np.concatenate(confidence), instances.matched([true], found)).error
    assert error == pytest.approx((0.25 + 0.875) / 2)
    nothing = instances.confidences(np.zeros((8, 20), np.int32), p)
    assert nothing.shape == (0,)
    assert instances.matched([true], [np.zeros((8, 20), int)]).shape == (0,)


@pytest.mark.slow
@pytest.mark.parametrize("there", [True, False])
def test_samples_and_scores_of_a_network_with_and_without_instances(there: bool) -> None:
    def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        bright = batch["image"].astype(jnp.float32) - (90 if there else 300)
        return jnp.concatenate([-bright, bright, 0 * bright - 50], -1) / 20, extra

    splits = sets.load("nuclei_dsb2018", "offline", 100, 48)
    splits = replace(splits, test=first(splits.test, 6))
    state = State(jnp.zeros((), jnp.int32), {}, {}, {})
    shown = instances_samples.samples("Test images", model, splits, 16)(state, jax.random.key(0))
    assert isinstance(shown[0], Text)
    assert shown[0].text == sets.GENERATED_NOTICE
    plots = [each for each in shown if isinstance(each, Plot)]
    collector = Collector(sharding.layout("jit", "", jax.devices()[:1]), 4)
    scores = collector(instances.evaluators(model, splits, 16)[0], state, "test")
    assert ("calibration_error" in scores) == there
    if there:
        assert plots[0].series[1].name == f"instances, error {scores['calibration_error']:.3f}"
    assert len(plots) == there


@pytest.mark.slow
def test_scores_of_batches_are_those_of_all_images_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, for images of different sizes; no more than a batch is held at a time."""
    cells, numbers = synthetic_maps.cells(7, 64, 3)
    sizes = [(64, 64), (40, 64), (64, 33), (50, 50), (17, 64), (64, 48), (30, 30)]
    cut = [
        [each[:height, :width] for each, (height, width) in zip(of, sizes, strict=True)]
        for of in (cells, numbers)
    ]
    source = arrays("cells", "1", "test", sets._padded((cut[0], cut[1])))
    splits: Any = {"validation": source, "test": source}

    def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        bright = batch["image"].astype(jnp.float32) - 90
        return jnp.concatenate([-bright, bright, 0 * bright - 5], -1) / 20, extra

    held = []

    def counted(probability: np.ndarray, *more: Any) -> Any:
        held.append(len(probability))
        return found_in(probability, *more)

    found_in = instances.found_in
    monkeypatch.setattr(instances, "found_in", counted)
    state = State(jnp.zeros((), jnp.int32), {}, {}, {})
    scored, baseline = instances.evaluators(model, splits, 4)
    collector = Collector(sharding.layout("jit", "", jax.devices()[:1]), 2)
    made = {**collector(scored, state, "test"), **collector(baseline, state, "test")}
    assert held == [2, 2, 2, 1]

    rows = source.gather(np.arange(7))
    true = [each.astype(np.int32) for each in cut[1]]
    found, confidence = found_in(instances.probabilities(model, state, rows), rows["size"], 4)
    of_all = {"": found, "baseline_": [instances.bright_areas(each, 4) for each in cut[0]]}
    for prefix, each in of_all.items():
        pairs = list(zip(true, each, strict=True))
        precision = np.array([matches(t, f).precision for t, f in pairs])
        both = sum(int(((t > 0) & (f > 0)).sum()) for t, f in pairs)
        pixels = sum(int((t > 0).sum() + (f > 0).sum()) for t, f in pairs)
        numbered = [abs(len(np.unique(t)) - len(np.unique(f))) for t, f in pairs]
        assert made[f"{prefix}average_precision"] == precision.mean()
        assert made[f"{prefix}average_precision_50"] == precision[:, 0].mean()
        assert made[f"{prefix}dice"] == 2 * both / pixels
        assert made[f"{prefix}iou"] == both / (pixels - both)
        assert made[f"{prefix}count_error"] == np.mean(numbered)
    error = reliability(np.concatenate(confidence), instances.matched(true, found)).error
    assert made["calibration_error"] == error


def test_contrast_does_not_depend_on_the_exposure_or_on_one_bright_spot() -> None:
    image = np.random.default_rng(0).integers(30, 100, (2, 50, 60, 1)).astype(np.float32)
    key = jax.random.key(0)
    plain = np.asarray(instances.contrasted({"image": image}, key, False))
    assert plain[0, 0, 0, 0] == pytest.approx(
        np.log((image[0, 0, 0, 0] + 1) / (image[0].mean() + 1))
    )
    bright = instances.contrasted({"image": 2 * image + 1}, key, False)
    np.testing.assert_allclose(plain, bright, atol=1e-5)
    spot = image.copy()
    spot[:, 3, 4] = 2000
    changed = np.asarray(instances.contrasted({"image": spot}, key, False))
    np.testing.assert_allclose(np.ptp(changed[:, 10:]), np.ptp(plain[:, 10:]), atol=0.1)
    assert not np.asarray(instances.contrasted({"image": 0 * image}, key, False)).any()
