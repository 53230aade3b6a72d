"""Metrics of generated images on the features of a classifier."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from dlcore.data.sets.embedded import digits28
from dlcore.models.apply import apply
from dlcore.models.cnn import CNN
from dlcore.tasks import image_generation
from dlcore.tasks.classifier_features import Features, feature_extractor
from dlcore.tasks.image_generation import legibility
from dlcore.train import weights as export
from tests.child import REPOSITORY

CLASSIFIER = REPOSITORY / "experiments" / "assets" / "mnist_classifier.npz"


def of(*rows: list[float]) -> Features:
    return Features(np.zeros((len(rows), 1)), np.array(rows))


def test_legibility_by_hand() -> None:
    generated = of([0.95, 0.05, 0.0], [0.9, 0.0, 0.1], [0.2, 0.8, 0.0], [0.0, 1.0, 0.0])
    found = legibility(generated, np.array([0, 1, 1, 1]))
    assert found == {
        "legible": 0.75,
        "rarest_class": 0.0,
        "commonest_class": 0.5,
        "predicted_as_requested": 0.75,
    }
    assert "predicted_as_requested" not in legibility(generated)


@pytest.mark.slow
def test_a_classifier_s_sizes_are_read_from_its_file_and_bytes_are_floats(tmp_path: Path) -> None:
    net = CNN((4, 6), 5, 3, norm="batch")
    images = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 1), np.uint8)
    made = dict(net.init(jax.random.key(0), images / np.float32(255)))
    params, extra = {"net": made.pop("params")}, {"net": made}
    flat = {
        jax.tree_util.keystr(where, simple=True, separator="/"): np.asarray(leaf)
        for where, leaf in jax.tree_util.tree_leaves_with_path({"params": params, "extra": extra})
    }
    np.savez(tmp_path / "classifier.npz", allow_pickle=False, **flat)
    assert export.load(tmp_path / "classifier.npz")["params"]["net"].keys() == params["net"].keys()
    found = feature_extractor(tmp_path / "classifier.npz")(images)
    logits = np.asarray(apply(net, "net", params, extra, images / np.float32(255))[0], np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    assert found.features.shape == (7, 5)
    as_floats = feature_extractor(tmp_path / "classifier.npz")((images / 255).astype(np.float32))
    np.testing.assert_allclose(as_floats.features, found.features, atol=1e-5)


@pytest.mark.slow
def test_real_digits_stand_nearer_to_real_digits_than_noise_does() -> None:
    """With the classifier that is kept, on digits of other writers at another size."""
    images = digits28("test").arrays["image"]
    extract, half = feature_extractor(CLASSIFIER), len(images) // 2
    real = image_generation.scores(extract, images[:half], images[half:], images, near=150)
    noise = np.random.default_rng(0).random(images[:half].shape).astype(np.float32)
    worse = image_generation.scores(extract, noise, images[half:], images, near=150)
    assert worse["frechet_on_classifier_features"] > 3 * real["frechet_on_classifier_features"]
    assert (real["precision"], worse["recall"]) == (1.0, 0.0)
    assert real["floor_train_against_test"] == worse["floor_train_against_test"] > 0
    with pytest.raises(ValueError, match="features must be"):
        image_generation.scores(extract, images[:1], images, images)
