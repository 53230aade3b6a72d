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
from dlcore.tasks.image_translation_predictor import TranslationOptions
from dlcore.train.predictor import with_options
from dlcore.train.step import train_step
from tests.tasks.test_predictors import untrained

CLASSIFIER = catalog.folder() / "assets" / "mnist_classifier.npz"


@pytest.mark.slow
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
    models: Any = "b", "a"
    _, evaluator = image_translation.evaluators(*models, splits, CLASSIFIER)
    found = evaluator.score(None, {}, "test")  # type: ignore[arg-type]
    assert set(found) == set(evaluator.metrics)
    assert found["error_to_b"] == found["error_to_a"] == 0
    # the classifier is MNIST's, and knows few of these digits
    assert found["class_kept"] == found["class_of_true"] > 0
    unchanged = ((test["a"] / 255.0 - test["true_b"] / 255.0) ** 2).mean()
    assert found["error_to_b_unchanged"] == pytest.approx(unchanged, rel=1e-5)
    assert 0 < found["error_to_b_of_mean"] < found["error_to_b_unchanged"]
    assert found["cycle_error"] == 0
    mean = {k: (splits.train.arrays[k][:2000] / 255.0).mean(0) for k in "ab"}
    of_mean = [np.abs(mean[k] - test[k] / 255.0).mean() for k in "ab"]
    assert found["cycle_error_of_mean"] == pytest.approx(np.mean(of_mean), rel=1e-5)
    draw = image_translation.samples(*models, splits, CLASSIFIER)
    *_, marked, table = draw(None, jax.random.key(0))  # type: ignore[arg-type]
    right: Any = marked.right  # type: ignore[attr-defined]
    recognised = image_translation._digits(CLASSIFIER, test["true_a"]) == test["label_b"]
    assert recognised.mean() == pytest.approx(found["class_kept"])
    assert right == tuple(recognised[: len(right)])
    counts, kept = np.array([row[1:3] for row in table.rows]).T  # type: ignore[attr-defined]
    assert counts.sum() == len(test["label_b"])
    assert (counts * kept).sum() / counts.sum() == pytest.approx(found["class_kept"], abs=1e-3)


def test_recognised_digits_by_hand() -> None:
    label = np.array([3, 7, 7, 3])
    found = {"translated": np.array([3, 7, 1, 8]), "unchanged": np.array([0, 7, 7, 0])}
    table = image_translation.kept_by_digit("Test", found, label)
    assert table.rows == (("3", 2, 0.5, 0.0), ("7", 2, 0.5, 1.0))


@pytest.mark.nightly
def test_errors_of_validation_are_those_of_the_written_pictures() -> None:
    experiment, state = untrained("cyclegan")
    scored, _ = experiment.evaluators
    models = {each.name: each for each in experiment.models}
    held = experiment.splits.validation.gather(np.arange(5))
    collected = scored.collect(state, {name: jnp.asarray(x) for name, x in held.items()})
    found = scored.score(state, {k: np.asarray(x) for k, x in collected.items()}, "validation")
    for given, target in (("a", "b"), ("b", "a")):
        made = image_translation.translated(models[f"to_{target}"], state, held[given])
        expected = ((made / 255.0 - held[f"true_{target}"] / 255.0) ** 2).mean()
        assert found[f"error_to_{target}"] == pytest.approx(expected, rel=1e-4)


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


@pytest.mark.slow
def test_own_pictures_are_translated_in_both_directions(tmp_path: Path) -> None:
    experiment, state = untrained("cyclegan")
    predictor: Any = experiment.predictor
    image = np.asarray(experiment.splits.test.arrays["a"][0])
    Image.fromarray(image[..., 0]).save(tmp_path / "a.png")
    items = predictor.items([tmp_path / "a.png"], [])
    for direction, names in (("to_b", ("filled", "outlined")), ("to_a", ("outlined", "filled"))):
        options = TranslationOptions(direction)  # type: ignore[arg-type]
        ((answer, sample),) = with_options(predictor, options).batch(state, items)
        assert (answer["from"], answer["to"]) == names
        model = {each.name: each for each in experiment.models}[direction]
        expected = image_translation.translated(model, state, image[None])
        np.testing.assert_allclose(sample.images * 255, expected, atol=0.51)
    assert dataclasses.asdict(predictor.options) == {"direction": "to_b"}
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(UsageError, match="cannot be read as an image"):
        predictor.items([tmp_path / "bad.png"], [])
