"""Images that untrained generators make: by seed, class and walk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.train.predictor import with_options
from tests.tasks.test_predictors import untrained


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["gan_mnist", pytest.param("flow_mnist", marks=pytest.mark.nightly)]
)
def test_images_are_generated_by_seed_and_class(name: str) -> None:
    experiment, state = untrained(name)
    predictor: Any = experiment.predictor

    def generated(count: int, **options: Any) -> list[Any]:
        changed = with_options(predictor, type(predictor.options)(**options))
        return changed.generated(state, count)

    found = generated(12)
    assert [each["class"] for each, _ in found] == [str(i % 10) for i in range(12)]
    assert all(sample.images.shape == (1, 28, 28, 1) for _, sample in found)
    again, other = generated(12), generated(12, seed=1)
    same = [(a[1].images == b[1].images).all() for a, b in zip(found, again, strict=True)]
    assert all(same)
    assert not (found[0][1].images == other[0][1].images).all()
    walk = generated(12, walk=5)
    assert [each["class"] for each, _ in walk] == [str(i // 5) for i in range(12)]
    np.testing.assert_allclose(walk[0][1].images, found[0][1].images, atol=1e-5)
    sevens = generated(12, label="7")
    assert {each["class"] for each, _ in sevens} == {"7"}
    np.testing.assert_allclose(sevens[7][1].images, found[7][1].images, atol=1e-5)
    with pytest.raises(UsageError, match="the classes of this model are 0, 1"):
        generated(1, label="cat")


@pytest.mark.slow
def test_a_model_without_classes_takes_no_label() -> None:
    experiment, state = untrained("gan_mnist", conditional=False)
    predictor: Any = experiment.predictor
    assert predictor.generated(state, 1)[0][0] == {"seed": 0}
    changed = with_options(predictor, type(predictor.options)(label="7"))
    with pytest.raises(UsageError, match="none, as it was trained without"):
        changed.generated(state, 1)
