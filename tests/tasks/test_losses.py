"""Losses that experiments share, against SciPy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from dlcore.tasks import classification, language_modelling
from dlcore.train.model import augment_batch
from dlcore.train.step import Objective, value

LABELS = np.array([0, 2, 1, 2])


def outcome(loss: Any, logits: np.ndarray, batch: dict[str, Any], train: bool = False) -> Any:
    """What a loss says of given logits."""
    extra = {"kept": 1}
    out = loss(
        {"logits": jnp.asarray(logits)},
        extra,
        {k: jnp.asarray(v) for k, v in batch.items()},
        None,
        train,
    )
    assert out.extra == {**extra, "seen": train}
    return out


def given_logits(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
    """A model whose parameters are its logits."""
    return params["logits"], {**extra, "seen": train}


@pytest.mark.slow
@given(
    st.integers(0, 99), st.lists(st.booleans(), min_size=4, max_size=4), st.sampled_from([1.0, 1e4])
)
def test_classification_is_the_mean_over_what_is_not_masked(
    seed: int, mask: list[bool], size: float
) -> None:
    logits = np.random.default_rng(seed).standard_normal((4, 3)).astype(np.float32) * np.float32(
        size
    )
    out = outcome(
        classification.loss(given_logits),
        logits,
        {"label": LABELS, "mask": np.array(mask, np.float32)},
    )
    xent = -log_softmax(logits.astype(np.float64), -1)[np.arange(4), LABELS]
    right = logits.argmax(-1) == LABELS
    np.testing.assert_allclose(out.loss.total, xent[mask].sum(), rtol=1e-5, atol=1e-6)
    assert float(out.metrics["accuracy"].total) == right[mask].sum()
    assert float(out.loss.weight) == float(out.metrics["accuracy"].weight) == sum(mask)


@pytest.mark.slow
def test_smoothing_mixes_in_the_uniform_target_in_training_alone() -> None:
    logits = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32) * 5
    batch = {"label": LABELS, "mask": np.ones(4, np.float32)}
    logp = log_softmax(logits.astype(np.float64), -1)
    target = 0.9 * np.eye(3)[LABELS] + 0.1 / 3
    smooth = classification.loss(given_logits, 0.1)
    np.testing.assert_allclose(
        value(outcome(smooth, logits, batch, train=True).loss),
        -(target * logp).sum(-1).mean(),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        value(outcome(smooth, logits, batch).loss), -logp[np.arange(4), LABELS].mean(), rtol=1e-5
    )
    plain = outcome(classification.loss(given_logits), logits, batch, train=True)
    np.testing.assert_allclose(value(plain.loss), -logp[np.arange(4), LABELS].mean(), rtol=1e-5)
    for wrong in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"outside \[0, 1\)"):
            classification.loss(given_logits, wrong)


@pytest.mark.slow
def test_gradient_is_the_difference_of_distributions() -> None:
    logits = np.random.default_rng(2).standard_normal((4, 3)).astype(np.float32)
    batch = {"label": LABELS, "mask": np.array([1, 1, 0, 1], np.float32)}
    for smoothing in (0.0, 0.2):
        loss = classification.loss(given_logits, smoothing)
        grad = jax.grad(lambda x, loss=loss: total_loss(loss, x, batch))(jnp.asarray(logits))
        target = (1 - smoothing) * np.eye(3)[LABELS] + smoothing / 3
        expected = (np.exp(log_softmax(logits.astype(np.float64), -1)) - target) * batch["mask"][
            :, None
        ]
        np.testing.assert_allclose(grad, expected, rtol=1e-4, atol=1e-6)


def total_loss(loss: Any, logits: Any, batch: Any) -> Any:
    """The numerator, in training."""
    return loss(
        {"logits": logits}, {}, {k: jnp.asarray(v) for k, v in batch.items()}, None, True
    ).loss.total


def test_all_masked_weighs_nothing_even_if_the_logits_are_not_numbers() -> None:
    out = outcome(
        classification.loss(given_logits, 0.1),
        np.full((4, 3), np.nan, np.float32),
        {"label": LABELS, "mask": np.zeros(4)},
        train=True,
    )
    for m in (out.loss, out.metrics["accuracy"]):
        assert (float(m.total), float(m.weight)) == (0, 0)


@pytest.mark.slow
def test_next_token_counts_tokens_and_no_padding() -> None:
    generator = np.random.default_rng(3)
    logits = generator.standard_normal((3, 4, 5)).astype(np.float32)
    targets = generator.integers(0, 5, (3, 4))
    weight = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]], np.float32)
    mask = np.array([1, 1, 0], np.float32)
    counts = (weight * mask[:, None]).astype(bool)
    xent = -np.take_along_axis(log_softmax(logits.astype(np.float64), -1), targets[..., None], -1)[
        ..., 0
    ]
    logits[~counts] = np.nan  # padding may hold anything
    out = outcome(
        language_modelling.loss(given_logits),
        logits,
        {"targets": targets, "weight": weight, "mask": mask},
    )
    np.testing.assert_allclose(out.loss.total, xent[counts].sum(), rtol=1e-5)
    assert float(out.loss.weight) == counts.sum() == 6
    assert not out.metrics
    size = generator.integers(0, 9, (3, 4)).astype(np.float32)
    metrics_bytes = outcome(
        language_modelling.loss(given_logits),
        logits,
        {"targets": targets, "weight": weight, "mask": mask, "bytes": size},
    )
    bits = metrics_bytes.metrics["bits_per_byte"]
    np.testing.assert_allclose(bits.total, xent[counts].sum() / np.log(2), rtol=1e-5)
    assert float(bits.weight) == size[counts].sum()


@pytest.mark.slow
def test_a_smoothed_next_token_is_a_smoothed_class_in_training_alone() -> None:
    logits = np.random.default_rng(5).standard_normal((2, 2, 3)).astype(np.float32)
    logits[1, 1] = np.nan  # padding
    weight = np.array([[1, 1], [1, 0]], np.float32)
    tokens = {"targets": LABELS.reshape(2, 2), "weight": weight, "mask": np.ones(2, np.float32)}
    classes = {"label": LABELS, "mask": weight.reshape(-1)}
    for train in (True, False):
        found = outcome(language_modelling.loss(given_logits, 0.2), logits, tokens, train).loss
        np.testing.assert_allclose(
            found.total,
            outcome(
                classification.loss(given_logits, 0.2), logits.reshape(4, 3), classes, train
            ).loss.total,
            rtol=1e-5,
        )
    with pytest.raises(ValueError, match="outside"):
        language_modelling.loss(given_logits, 1.0)


def test_narrow_logits_have_losses_in_float32() -> None:
    logits = jnp.asarray(np.random.default_rng(4).standard_normal((4, 3)), jnp.bfloat16)
    out = outcome(
        classification.loss(given_logits), logits, {"label": LABELS, "mask": np.ones(4, np.float32)}
    )
    expected = -log_softmax(np.asarray(logits, np.float64), -1)[np.arange(4), LABELS]
    assert out.loss.total.dtype == jnp.float32
    np.testing.assert_allclose(out.loss.total, expected.sum(), rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_shared_example_has_a_target_of_two_labels(smoothing: float) -> None:
    logits = np.random.default_rng(3).standard_normal((4, 3)).astype(np.float32) * 5
    share, partner = np.array([1.0, 0.25, 0.5, 0.0], np.float32), np.array([1, 1, 1, 0])
    batch = {
        "label": LABELS,
        "partner_label": partner,
        "label_fraction": share,
        "mask": np.array([1, 1, 0, 1], np.float32),
    }
    target = share[:, None] * np.eye(3)[LABELS] + (1 - share[:, None]) * np.eye(3)[partner]
    target = (1 - smoothing) * target + smoothing / 3
    xent = -(target * log_softmax(logits.astype(np.float64), -1)).sum(-1)
    out = outcome(classification.loss(given_logits, smoothing), logits, batch, train=True)
    np.testing.assert_allclose(value(out.loss), xent[[0, 1, 3]].mean(), rtol=1e-5)


def test_a_batch_is_changed_in_training_alone() -> None:
    logits = np.eye(3, dtype=np.float32)[LABELS]
    objectives = {"net": Objective(classification.loss(given_logits), optax.sgd(1.0))}
    wrong = augment_batch(
        objectives, lambda batch, key: {**batch, "label": (batch["label"] + 1) % 3}
    )["net"].loss
    batch = {"label": LABELS, "mask": np.ones(4, np.float32)}
    assert float(value(outcome(wrong, logits, batch).metrics["accuracy"])) == 1
    assert float(value(outcome(wrong, logits, batch, train=True).metrics["accuracy"])) == 0
