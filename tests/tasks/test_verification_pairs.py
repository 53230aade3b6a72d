"""Pairs of unseen people: components of few images, and probabilities out of fold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcore.data.source import arrays
from dlcore.metrics.verification import SameProbability, pairs
from dlcore.tasks import verification_pairs

pytestmark = pytest.mark.slow


def test_components_of_few_images_are_no_rounding_errors() -> None:
    """32 images have 31 components: the 32nd would be whitened from nothing, and decide alone."""
    generator = np.random.default_rng(0)
    label = np.repeat(np.arange(6, dtype=np.int32), 8)
    people = generator.integers(0, 200, (6, 8, 8, 1))
    image = (people[label] + generator.integers(0, 50, (48, 8, 8, 1))).astype(np.uint8)
    learns = (label < 4).astype(np.float32)[:, None]
    assert learns.sum() == 32
    contents = {"image": image, "label": label, "learns": learns}
    model: Any = Pixels()
    (found,) = verification_pairs.baselines(model, arrays("faces", "1", "test", contents))["pca"]
    assert abs(found.similarity).max() < 0.99
    assert found.similarity[found.same].mean() > found.similarity[~found.same].mean()


class Pixels:
    """A "model" whose inputs are the images."""

    def inputs(self, batch: Any, key: Any, train: bool) -> Any:
        return batch["image"]


def test_probabilities_are_of_people_that_no_fit_has_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each fold holds out four of six people, so that folds share some of them."""
    generator = np.random.default_rng(0)
    label = np.repeat(np.arange(6), 4)
    held_out = [(0, 1, 2, 3), (2, 3, 4, 5), (4, 5, 0, 1)]
    embedding = generator.standard_normal((24, 5)) + 3 * generator.standard_normal((6, 5))[label]
    folds = []
    for people in held_out:
        index = np.flatnonzero(np.isin(label, people))
        found = pairs(embedding[index], label[index])
        folds.append(found._replace(first=index[found.first], second=index[found.second]))
    fits = []

    def fit(similarity: np.ndarray, same: np.ndarray) -> SameProbability:
        fits.append({*similarity.tolist()})
        return SameProbability(1.0, 0.0)

    monkeypatch.setattr(verification_pairs, "fit_same_probability", fit)
    verification_pairs.calibrated(folds, label)
    for people, used in zip(held_out, fits[1:], strict=True):
        of_people = set()
        for found in folds:
            shown = np.isin(label[found.first], people) | np.isin(label[found.second], people)
            of_people |= {*found.similarity[shown].tolist()}
        assert used
        assert not used & of_people
