"""Diagnoses: calibrating examples train the temperature and nothing else."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics as sklearn
from scipy import optimize

from dlcore.data.source import arrays
from dlcore.metrics.calibration import reliability
from dlcore.models.temperature import Temperature
from dlcore.tasks import diagnosis
from dlcore.train.model import Model
from dlcore.train.step import Objective, State, train_step
from tests.tasks.test_predictors import untrained


def model(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
    """Logits that are the image times a parameter."""
    return batch["image"] * params["net"], extra


TEMPERATURE = Model("temperature", Temperature(), lambda batch, key, train: batch["image"])


def batch_of(count: int = 64, scale: float = 3.0) -> dict[str, np.ndarray]:
    """Logits that are too certain: labels follow their softmax at a temperature of `scale`."""
    generator = np.random.default_rng(0)
    logits = 2 * generator.standard_normal((count, 2))
    label = (logits + generator.gumbel(size=logits.shape)).argmax(1)
    return {
        "image": (scale * logits).astype(np.float32),
        "label": label.astype(np.int32),
        "calibrates": (np.arange(count) % 4 == 0).astype(np.float32),
        "mask": np.ones(count, np.float32),
        "row": np.arange(count, dtype=np.int32),
    }


def params_of() -> dict[str, Any]:
    return {"net": jnp.float32(1), "temperature": {"log_temperature": jnp.float32(0)}}


@pytest.mark.slow
def test_each_loss_sees_its_own_examples_in_training_and_all_in_evaluation() -> None:
    batch, params = batch_of(), params_of()
    flags = batch["calibrates"] == 1
    losses = {
        "net": (diagnosis.loss(model, (1.0, 1.0)), ~flags),
        "temperature": (diagnosis.temperature_loss(model, TEMPERATURE), flags),
    }
    for loss, own in losses.values():
        for train in (True, False):
            rows = own if train else np.ones(len(own), bool)
            out = loss(params, {}, batch, jax.random.key(0), train)
            xent = optax.softmax_cross_entropy_with_integer_labels(
                batch["image"][rows], batch["label"][rows]
            )
            assert float(out.loss.total / out.loss.weight) == pytest.approx(
                float(xent.mean()), rel=1e-5
            )


def test_the_loss_weighs_the_classes() -> None:
    batch, weights = batch_of(), np.array([1.0, 4.0])
    out = diagnosis.loss(model, (1.0, 4.0))(params_of(), {}, batch, jax.random.key(0), False)
    label = batch["label"]
    xent = np.asarray(
        optax.softmax_cross_entropy_with_integer_labels(batch["image"], jnp.asarray(label))
    )
    expected = np.average(xent, weights=weights[label])
    assert float(out.loss.total / out.loss.weight) == pytest.approx(expected, rel=1e-5)
    accuracy = out.metrics["accuracy"]
    right = (batch["image"].argmax(1) == label).mean()
    assert float(accuracy.total / accuracy.weight) == pytest.approx(right, rel=1e-6)


def test_examples_for_the_temperature_are_not_shifted() -> None:
    image = np.random.default_rng(0).integers(1, 255, (40, 6, 6, 1), np.uint8)
    batch = {**batch_of(40), "image": image}
    found = jax.jit(diagnosis.shifted(2))(batch, jax.random.key(0))
    same = (np.asarray(found["image"]) == image).all((1, 2, 3))
    assert found["image"].dtype == jnp.uint8
    assert same[batch["calibrates"] == 1].all()
    assert not same[batch["calibrates"] == 0].all()
    np.testing.assert_array_equal(found["label"], batch["label"])


def fit_temperature(logits: np.ndarray, true: np.ndarray) -> float:
    """Fits the temperature T that minimises the cross-entropy of softmax(logits / T).

    Args:
        logits: [n, classes].
        true: classes, int [n].

    Returns:
        T, between 1/20 and 20.

    Source: Guo et al. 2017, sec. 4.2.
    """
    x, rows = np.asarray(logits, np.float64), np.arange(len(true))

    def cross_entropy(log_temperature: float) -> float:
        scaled = x * np.exp(-log_temperature)
        scaled = scaled - scaled.max(1, keepdims=True)
        return float((np.log(np.exp(scaled).sum(1)) - scaled[rows, true]).mean())

    limit = np.log(20.0)
    found = optimize.minimize_scalar(cross_entropy, bounds=(-limit, limit), method="bounded")
    return float(np.exp(found.x))


def test_the_reference_of_the_temperature_undoes_a_scale() -> None:
    """Labels are drawn from the softmax of logits; of the logits times three, T is three."""
    generator = np.random.default_rng(0)
    logits = 2 * generator.standard_normal((20_000, 3))
    noise = generator.gumbel(size=logits.shape)
    true = (logits + noise).argmax(1)
    assert fit_temperature(logits, true) == pytest.approx(1, abs=0.05)
    assert fit_temperature(3 * logits, true) == pytest.approx(
        3 * fit_temperature(logits, true), rel=1e-3
    )


def test_the_temperature_divides_in_float32_under_bfloat16() -> None:
    params = {"temperature": {"log_temperature": jnp.asarray(0.3)}}
    logits = np.array([[0, 7], [0, 8], [0, 9], [6, 0]], np.float32)
    batch = {"row": np.arange(4), "label": np.array([1, 1, 1, 0]), "mask": np.ones(4)}

    def rounded(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        return jnp.asarray(logits, jnp.bfloat16), extra

    temperature = untrained("cnn_pneumonia")[0].models[1]
    loss = diagnosis.temperature_loss(rounded, temperature)
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
    found = loss(half, {"temperature": {}}, batch, jax.random.key(0), False).loss
    true = np.log1p(np.exp(-np.array([7, 8, 9, 6]) / np.exp(0.3))).sum()
    assert float(found.total) == pytest.approx(true, rel=0.02)


@pytest.mark.slow
def test_the_temperature_becomes_the_one_that_scipy_finds() -> None:
    batch, scale = batch_of(512), jnp.zeros((), jnp.int32)
    batch["calibrates"][:] = 1
    objectives = {
        "temperature": Objective(
            diagnosis.temperature_loss(model, TEMPERATURE),
            optax.adam(optax.cosine_decay_schedule(0.1, 150)),
        )
    }
    params = params_of()
    opt = {"temperature": objectives["temperature"].optimizer.init(params["temperature"])}
    state = State(scale, params, {"net": {}, "temperature": {}}, opt)
    step = jax.jit(lambda state: train_step(objectives, state, batch, seed=0, axis=None)[0])
    for _ in range(150):
        state = step(state)
    found = float(jnp.exp(state.params["temperature"]["log_temperature"]))
    assert found == pytest.approx(fit_temperature(batch["image"], batch["label"]), rel=2e-2)
    assert float(state.params["net"]) == 1


@pytest.mark.slow
def test_scores_and_the_temperature_that_they_show() -> None:
    batch = batch_of(400)
    softmax = jax.nn.softmax
    collected = {
        "label": batch["label"],
        "logits": batch["image"],
        "scaled": batch["image"] / 3,
        "before": np.asarray(softmax(batch["image"]))[:, 1],
        "after": np.asarray(softmax(batch["image"] / 3))[:, 1],
    }
    found = diagnosis.scores(collected)
    assert found["temperature"] == pytest.approx(3, rel=1e-5)
    assert found["calibration_error"] < found["calibration_error_before"]
    assert {*found} == {*diagnosis.METRICS}
    label, p = collected["label"], collected["after"]
    assert found["auc"] == pytest.approx(sklearn.roc_auc_score(label, p))
    balanced = sklearn.balanced_accuracy_score(label, p > 0.5)
    assert found["balanced_accuracy"] == pytest.approx(balanced)
    false, true, _ = sklearn.roc_curve(label, p, drop_intermediate=False)
    sensitivity = true[false <= 0.05 + 1e-9].max()
    assert found["sensitivity_at_95_specificity"] == pytest.approx(sensitivity)
    assert found["calibration_error"] == pytest.approx(reliability(p, label).error)
    # a probability that float32 has rounded to more than 1
    after = collected["after"] / collected["after"].max() * np.float32(1 + 1e-6)
    assert after.max() > 1
    assert diagnosis.scores({**collected, "after": after})["calibration_error"] >= 0


def test_the_regression_on_pixels_is_perfect_where_pixels_are_the_label() -> None:
    label = np.arange(40, dtype=np.int32) % 2
    image = np.broadcast_to((200 * label)[:, None, None, None], (40, 4, 4, 1)).astype(np.uint8)
    held = {"image": image, "label": label, "calibrates": np.zeros(40, np.float32)}
    train = arrays("spots", "1", "train", held)
    found = diagnosis.of_pixels(train, arrays("spots", "1", "test", held), [20, 20])
    assert found.keys() == diagnosis.BASELINES.keys()
    for name in ("auc", "sensitivity_at_95_specificity", "balanced_accuracy"):
        assert found[f"baseline_{name}"] == 1
    # what the prior of 1/2 says is "not ill", and it is calibrated
    assert found["baseline_accuracy"] == 0.5
    assert found["baseline_calibration"] == 0
    wrong = {**held, "label": 1 - label}
    found = diagnosis.of_pixels(train, arrays("spots", "1", "test", wrong), [20, 20])
    assert found["baseline_balanced_accuracy"] == 0


def test_balanced_weights_give_both_classes_the_same_sum() -> None:
    weights = diagnosis.balanced_weights([10, 90])
    assert 10 * weights[0] == pytest.approx(90 * weights[1])
    assert 10 * weights[0] + 90 * weights[1] == pytest.approx(100)
