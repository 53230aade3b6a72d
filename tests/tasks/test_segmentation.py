"""Losses and metrics of label maps: by hand, over devices, and at the size of the true maps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dlcore.data.facts import Facts
from dlcore.data.source import arrays
from dlcore.data.splits import Splits
from dlcore.errors import UsageError
from dlcore.kernels import pixels
from dlcore.metrics.calibration import reliability
from dlcore.samples.overlay import PALETTE, outlined, overlay
from dlcore.tasks import segmentation, segmentation_samples
from dlcore.tasks.map_augmentation import Augmentation
from dlcore.tasks.segmentation_predictor import MapPredictor, enlarged
from dlcore.train.step import State

CLASSES = ("a", "b", "c")


def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
    """Logits that are the channels of the image."""
    return batch["image"].astype(jnp.float32) * params["net"], extra


STATE = State(jnp.zeros((), jnp.int32), {"net": jnp.float32(1)}, {}, {})


def batch_of(generator: np.random.Generator, k: int = 1) -> dict[str, np.ndarray]:
    labels = generator.integers(0, 3, (4, 5 * k, 6 * k)).astype(np.uint8)
    labels[0, :2] = 255
    return {
        "image": generator.standard_normal((4, 5, 6, 3)).astype(np.float32),
        "label_map": labels,
        "mask": np.array([1, 1, 1, 0], np.float32),
        "row": np.arange(4, dtype=np.int32),
    }


@pytest.mark.slow
def test_the_loss_is_the_weighted_mean_of_each_image() -> None:
    batch = batch_of(np.random.default_rng(0), 3)
    weights = (1.0, 2.0, 5.0)
    loss = jax.jit(segmentation.loss(model, weights), static_argnums=4)
    out = loss(STATE.params, {}, batch, jax.random.key(0), True)
    labels = batch["label_map"][:, 1::3, 1::3]
    logp = np.log(np.exp(batch["image"]) / np.exp(batch["image"]).sum(-1, keepdims=True))
    expected, right, pixels = [], 0, 0
    for n in range(3):
        counted = labels[n] < 3
        w = np.asarray(weights)[labels[n][counted]]
        own = -logp[n][counted][np.arange(counted.sum()), labels[n][counted]]
        expected.append((w * own).sum() / w.sum())
        right += (batch["image"][n].argmax(-1) == labels[n])[counted].sum()
        pixels += counted.sum()
    assert float(out.loss.total / out.loss.weight) == pytest.approx(np.mean(expected), rel=1e-5)
    accuracy = out.metrics["accuracy"]
    assert float(accuracy.total / accuracy.weight) == pytest.approx(right / pixels)


@pytest.mark.slow
def test_region_losses_are_added_with_their_factors() -> None:
    batch = batch_of(np.random.default_rng(0))

    def value(**factors: float) -> float:
        loss = jax.jit(segmentation.loss(model, (1.0, 2.0, 5.0), **factors), static_argnums=4)
        out = loss(STATE.params, {}, batch, jax.random.key(0), True)
        return float(out.loss.total / out.loss.weight)

    p, labels = jax.nn.softmax(batch["image"]), jnp.asarray(batch["label_map"], jnp.int32)
    dice, lovasz = (
        float(each(p, labels)[:3].mean()) for each in (pixels.dice_loss, pixels.lovasz_softmax)
    )
    found = value(dice=0.5, lovasz=2.0) - value()
    assert found == pytest.approx(0.5 * dice + 2 * lovasz, rel=1e-4)
    assert value(dice=1.0) - value() == pytest.approx(dice, rel=1e-4)


@pytest.mark.slow
def test_an_image_without_labels_counts_for_nothing_and_has_no_gradient() -> None:
    batch = batch_of(np.random.default_rng(0))
    batch["label_map"][1] = 255
    loss = segmentation.loss(model, (1.0, 1.0, 1.0), dice=1.0, lovasz=1.0)

    @jax.jit
    def value(image: Any, rows: Any) -> Any:
        out = loss(
            STATE.params, {}, {**batch, "image": image, "mask": rows}, jax.random.key(0), True
        )
        return out.loss.total / out.loss.weight

    rows, less = batch["mask"], np.array([1, 0, 1, 0], np.float32)
    assert float(value(batch["image"], rows)) == float(value(batch["image"], less))
    slope = np.asarray(jax.grad(value)(batch["image"], rows))
    assert np.isfinite(slope).all()
    assert not slope[[1, 3]].any()
    assert slope[0].any()


def splits_of(generator: np.random.Generator, k: int) -> Splits:
    found = {}
    for split, factor in (("train", 1), ("validation", k), ("test", k)):
        batch = batch_of(generator, factor)
        contents = {name: batch[name] for name in ("image", "label_map")}
        found[split] = arrays("maps", "1", split, contents)
    return Splits.of(found, facts=Facts(classes=CLASSES, class_pixels=[5, 4, 1]))


@pytest.mark.slow
def test_metrics_are_those_of_enlarged_logits_at_the_size_of_the_maps() -> None:
    splits = splits_of(np.random.default_rng(0), 2)
    scored, baseline = segmentation.evaluators(model, splits)
    batch = {**splits.test.gather(np.arange(4)), "row": np.arange(4, dtype=np.int32)}
    collected = {
        name: np.asarray(value) for name, value in jax.jit(scored.collect)(STATE, batch).items()
    }
    found = scored.score(STATE, collected, "test")
    labels = batch["label_map"]
    guess = np.stack([enlarged(image, labels.shape[1:3]) for image in batch["image"]])
    kept = labels < 3
    for number, name in enumerate(CLASSES):
        both = ((guess == number) & (labels == number) & kept).sum()
        either = (((guess == number) | (labels == number)) & kept).sum()
        assert found[f"iou_{name}"] == pytest.approx(both / either)
    assert found["miou"] == pytest.approx(np.mean([found[f"iou_{name}"] for name in CLASSES]))
    assert found["pixel_accuracy"] == pytest.approx((guess == labels)[kept].mean())
    logits = jax.image.resize(batch["image"], (*labels.shape, 3), "bilinear")
    p = np.asarray(jax.nn.softmax(logits))
    bins = reliability(p.max(-1)[kept], (p.argmax(-1) == labels)[kept], bins=15)
    assert found["calibration_error"] == pytest.approx(bins.error, rel=1e-4)
    trivial = baseline.score(STATE, {}, "test")
    assert 0 < trivial["baseline_miou"] < 1
    by_class = [trivial[f"baseline_iou_{name}"] for name in CLASSES]
    assert trivial["baseline_miou"] == pytest.approx(np.mean(by_class))
    assert 0 < trivial["baseline_class_accuracy"] < 1
    assert trivial.keys() <= baseline.metrics.keys()


@pytest.mark.slow
def test_calibration_of_certain_and_right_pixels_is_perfect() -> None:
    labels = np.random.default_rng(0).integers(0, 3, (2, 5, 6)).astype(np.uint8)
    batch = {"image": 50 * np.eye(3, dtype=np.float32)[labels], "label_map": labels}
    found = segmentation.collect(model, 3, STATE, batch)
    assert segmentation.calibration_error(np.asarray(found["bins"]).sum(0)) < 1e-5
    wrong = {**batch, "label_map": ((labels + 1) % 3).astype(np.uint8)}
    found = segmentation.collect(model, 3, STATE, wrong)
    assert segmentation.calibration_error(np.asarray(found["bins"]).sum(0)) == pytest.approx(1)


def test_the_baseline_is_the_most_frequent_class_at_each_position() -> None:
    maps = np.array([[[0, 1]], [[0, 2]], [[1, 2]]], np.uint8)
    train = arrays("maps", "1", "train", {"label_map": maps})
    test = arrays("maps", "1", "test", {"label_map": np.array([[[0, 0, 2, 1]] * 2], np.uint8)})
    found = segmentation.of_positions(train, test, 3)  # says 0 0 2 2 in both rows
    np.testing.assert_allclose(found.iou, [1, 0, 0.5])


def test_weights_of_classes() -> None:
    assert segmentation.class_weights([10, 5], "none") == (1, 1)
    log = segmentation.class_weights([75, 25], "log")
    assert log == pytest.approx((1 / np.log(1.77), 1 / np.log(1.27)))
    assert segmentation.class_weights([1, 4, 16], "sqrt") == pytest.approx((2, 1, 0.5))
    assert segmentation.class_weights([1, 0, 4, 16], "sqrt") == pytest.approx((2, 1, 1, 0.5))


@pytest.mark.slow
def test_images_and_maps_are_augmented_together() -> None:
    """An image whose colour is its class: after all changes it still is."""
    labels = np.kron(np.random.default_rng(0).integers(0, 2, (6, 4, 4)), np.ones((1, 12, 12)))
    batch = {
        "image": np.repeat(200 * labels[..., None], 3, -1).astype(np.uint8),
        "label_map": labels.astype(np.uint8),
        "row": np.arange(6, dtype=np.int32),
    }
    made = Augmentation(
        (40, 40), 0.6, 1.3, any_direction=True, brightness=0.1, contrast=0.1, saturation=0.1
    )()
    first = jax.jit(made)(batch, jax.random.key(0))
    image, moved = np.asarray(first["image"]), np.asarray(first["label_map"])
    assert image.shape == (6, 40, 40, 3)
    inside = moved < 255
    agree = (image[..., 0] > 100) == (moved == 1)
    assert agree[inside].mean() > 0.97  # borders are blurred
    assert (moved == 255).any()
    half = jax.jit(made)({name: each[3:] for name, each in batch.items()}, jax.random.key(0))
    np.testing.assert_array_equal(half["label_map"], moved[3:])


def test_own_images_are_answered_at_their_own_size() -> None:
    facts = Facts(classes=CLASSES, fields={"image": {"shape": [5, 6, 3], "dtype": "uint8"}})
    predictor = MapPredictor(model, facts)
    pixels = np.zeros((20, 33, 3), np.uint8)
    pixels[:, :11, 0] = pixels[:, 11:, 2] = 200
    ((answer, sample),) = predictor.batch(STATE, [predictor.item(pixels)])
    assert (answer["width"], answer["height"]) == (33, 20)
    assert answer["classes"] == pytest.approx({"c": 2 / 3, "a": 1 / 3}, abs=0.04)
    assert answer["confidence"] == pytest.approx(1, abs=0.05)
    assert sample.labels.shape == (20, 33)
    assert "c 6" in predictor.line(answer)
    grey = predictor.item(pixels[..., 0])
    assert isinstance(grey, Image.Image)
    for wrong in (
        pixels.astype(float),
        np.repeat(pixels, 2, 2)[..., :5],
        pixels.transpose(2, 0, 1),
    ):
        with pytest.raises(UsageError, match="an image here is uint8"):
            predictor.item(wrong)
    with pytest.raises(UsageError, match="reads images"):
        predictor.items([], ["a text"])


def test_pictures_show_classes_and_outlines() -> None:
    image = np.full((4, 6, 1), 100, np.uint8)
    labels = np.zeros((4, 6), np.uint8)
    labels[:, 3:] = 1
    labels[0] = 255
    drawn = overlay(image, labels, 2, 1.0)
    np.testing.assert_array_equal(drawn[1, 0], PALETTE[0])
    np.testing.assert_array_equal(drawn[1, 5], PALETTE[1])
    np.testing.assert_array_equal(drawn[0], np.full((6, 3), 100))
    numbers = np.zeros((5, 5), int)
    numbers[1:4, 1:4] = 1
    lines = outlined(np.zeros((5, 5, 1), np.uint8), numbers, (255, 0, 0))[..., 0] > 0
    assert lines.sum() == 8
    assert not lines[2, 2]


@pytest.mark.slow
def test_the_table_says_of_which_images_it_is() -> None:
    batch = batch_of(np.random.default_rng(0), 2)
    contents = {"image": np.tile(batch["image"], (30, 1, 1, 1))}
    contents["label_map"] = np.tile(batch["label_map"], (30, 1, 1))
    source = arrays("a", "1", "test", contents)
    draw = segmentation_samples.samples("Test", model, source, CLASSES)
    *_, table, reliable = draw(STATE, jax.random.key(0))
    assert table.title == "Test: 100 of 120 at 6x5, by class"
    assert reliable.title == "Test: 100 of 120 at 6x5: reliability"
    kept = segmentation_samples.predictions(model, STATE, source)
    p = np.exp(kept["image"]) / np.exp(kept["image"]).sum(-1, keepdims=True)
    np.testing.assert_allclose(kept["confidence"], p.max(-1), rtol=1e-5)
    labelled = kept["true"] < 3
    right = (kept["true"] == p.argmax(-1))[labelled]
    bins = reliability(p.max(-1)[labelled], right)
    assert reliable.series[1].name == f"pixels, error {bins.error:.3f}"
    np.testing.assert_allclose(reliable.series[1].y, bins.observed)


def test_what_is_turned_in_any_direction_is_square() -> None:
    with pytest.raises(UsageError, match="--crop 32 48: what is turned in any direction must be"):
        Augmentation((32, 48), any_direction=True)()
    assert Augmentation((32, 48))()
