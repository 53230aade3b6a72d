"""Translation without pairs: scores of a perfect translator, four objectives, own pictures."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dlcore.data.sets import unpaired
from dlcore.errors import UsageError
from dlcore.runs import catalog
from dlcore.tasks import image_translation
from dlcore.train.predictor import with_options
from dlcore.train.step import train_step
from tests.tasks.test_predictors import untrained

CLASSIFIER = catalog.folder() / "assets" / "mnist_classifier.npz"


def test_a_perfect_translation_has_no_error_and_keeps_the_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    splits = unpaired.load("offline", 60)
    test = splits.test.arrays
    pairs = {x.tobytes(): y for x, y in zip(test["a"], test["true_b"], strict=True)}
    pairs |= {x.tobytes(): y for x, y in zip(test["b"], test["true_a"], strict=True)}

    def perfect(model: Any, state: Any, images: np.ndarray) -> np.ndarray:
        return np.stack([pairs[each.tobytes()] for each in images])

    monkeypatch.setattr(image_translation, "translated", perfect)
    evaluator = image_translation.evaluator("b", "a", splits, CLASSIFIER)  # type: ignore[arg-type]
    found = evaluator.score(None, {}, "test")  # type: ignore[arg-type]
    assert set(found) == set(evaluator.metrics)
    assert found["error_to_b"] == found["error_to_a"] == 0
    # the classifier is MNIST's, and knows few of these digits
    assert found["class_kept"] == found["class_of_true"] > 0
    unchanged = ((test["a"] / 255.0 - test["true_b"] / 255.0) ** 2).mean()
    assert found["error_to_b_unchanged"] == pytest.approx(unchanged, rel=1e-5)
    assert 0 < found["error_to_b_of_mean"] < found["error_to_b_unchanged"]


@pytest.mark.slow
def test_each_objective_changes_its_own_network_alone() -> None:
    experiment, state = untrained("cyclegan")
    batch = {
        **{name: jnp.asarray(x) for name, x in experiment.train.gather(np.arange(4)).items()},
        "row": jnp.arange(4),
        "mask": jnp.ones(4),
    }
    for name in experiment.objectives:
        single = {name: experiment.trained[name]}
        after, _ = jax.jit(lambda s, single=single: train_step(single, s, batch, seed=0))(state)
        changed = {
            each
            for each in state.params
            if any(
                bool((a != b).any())
                for a, b in zip(
                    jax.tree.leaves(state.params[each]),
                    jax.tree.leaves(after.params[each]),
                    strict=True,
                )
            )
        }
        assert changed == {name}


def test_own_pictures_are_translated_in_both_directions(tmp_path: Path) -> None:
    experiment, state = untrained("cyclegan")
    predictor: Any = experiment.predictor
    image = np.asarray(experiment.splits.test.arrays["a"][0])
    Image.fromarray(image[..., 0]).save(tmp_path / "a.png")
    items = predictor.items([tmp_path / "a.png"], [])
    for direction, names in (("to_b", ("filled", "outlined")), ("to_a", ("outlined", "filled"))):
        options = image_translation.TranslationOptions(direction)  # type: ignore[arg-type]
        ((answer, sample),) = with_options(predictor, options).batch(state, items)
        assert (answer["from"], answer["to"]) == names
        model = {each.name: each for each in experiment.models}[direction]
        expected = image_translation.translated(model, state, image[None])
        np.testing.assert_allclose(sample.images * 255, expected, atol=0.51)
    assert dataclasses.asdict(predictor.options) == {"direction": "to_b"}
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(UsageError, match="cannot be read as an image"):
        predictor.items([tmp_path / "bad.png"], [])
