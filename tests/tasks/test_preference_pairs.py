"""DPO in folds: a policy learns from the other folds' pairs, and is scored by those of its own."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.tasks import preference_pairs
from tests.tasks import test_preference as single
from tests.tasks.test_preference import POLICY, REFERENCE

FOLDS = preference_pairs.policies(POLICY, 2)


def batch() -> dict[str, Any]:
    """Four pairs, of which the first two are of fold 0, and the last two of one context."""
    made = {name.replace("other_", "wrong_"): array for name, array in single.batch().items()}
    more = {"fold": [0, 0, 1, 1], "dialogue": [0, 1, 2, 2], "pair_weight": [1.0, 1.0, 0.5, 0.5]}
    return {**made, **{name: jnp.asarray(values) for name, values in more.items()}}


@functools.cache
def params() -> dict[str, Any]:
    """Policies that differ from their reference and from each other."""
    return {name: single.params(i) for i, name in enumerate(("reference", "net", "fold_1"))}


@functools.cache
def compiled(train: bool) -> Any:
    """Loss of the policy of fold 1 and its gradient, on the pairs that a mask chooses."""
    loss = preference_pairs.tuning(POLICY, REFERENCE, {}, 0.1, 2).losses["fold_1"]

    def total(params: Any, mask: Any) -> Any:
        out = loss(params, {}, {**batch(), "mask": mask}, jax.random.key(0), train)
        return out.loss.total, out

    return jax.jit(jax.value_and_grad(total, has_aux=True))


def value(rows: list[int], train: bool, **same: Any) -> Any:
    """What the loss returns on some of the pairs, and its gradient."""
    mask = np.isin(np.arange(4), rows).astype(np.float32)
    (_, out), slope = compiled(train)({**params(), **same}, mask)
    return out, slope


@pytest.mark.slow
def test_a_policy_that_is_its_reference_loses_log_2_and_only_it_has_a_gradient() -> None:
    assert [(each.name, each.init_as) for each in FOLDS] == [("net", ""), ("fold_1", "net")]
    out, slope = value([0, 1, 2, 3], True, fold_1=params()["reference"])
    assert out.loss.total / out.loss.weight == pytest.approx(np.log(2), rel=1e-6)
    accuracy = out.metrics["accuracy"]
    assert accuracy.total / accuracy.weight == 0.5, "ties count half"
    moved = {
        name for name in slope if any(np.asarray(x).any() for x in jax.tree.leaves(slope[name]))
    }
    assert moved == {"fold_1"}


@pytest.mark.slow
def test_it_learns_from_the_other_folds_and_is_evaluated_on_its_own() -> None:
    whole, slope = value([0, 1, 2, 3], True)
    others, of_others = value([0, 1], True)
    assert whole.loss.weight == 2
    np.testing.assert_allclose(whole.loss.total, others.loss.total, rtol=1e-5)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), slope, of_others)
    held_out, _ = value([0, 1, 2, 3], False)
    own, _ = value([2, 3], False)
    assert held_out.loss.weight == 1  # two pairs of one context
    np.testing.assert_allclose(held_out.loss.total, own.loss.total, rtol=1e-5)


def test_parts_of_a_batch_add_up() -> None:
    whole, _ = value([0, 1, 2, 3], True)
    parts = [value(rows, True)[0] for rows in ([0, 2], [1, 3])]
    np.testing.assert_allclose(sum(each.loss.total for each in parts), whole.loss.total, rtol=1e-5)


@pytest.mark.slow
def test_each_pair_is_scored_by_the_policy_of_its_fold() -> None:
    (evaluator,) = preference_pairs.evaluators(FOLDS, REFERENCE, {})

    class Of:
        """A state."""

        extra: dict[str, Any] = {}  # noqa: RUF012

        def __init__(self, params: Any) -> None:
            self.params = params

    found = evaluator.collect(Of(params()), batch())  # type: ignore[arg-type]
    for fold, policy in enumerate(FOLDS):
        ratios = preference_pairs.log_ratios(
            policy, REFERENCE, params(), {}, batch(), other="wrong"
        )
        rows = np.asarray(batch()["fold"]) == fold
        expected = np.asarray(ratios.own - ratios.other)[rows]
        np.testing.assert_allclose(np.asarray(found["reward"])[rows], expected, rtol=1e-5)
        # answers of two tokens each
        margin = (ratios.reference - ratios.other_reference) / 2
        np.testing.assert_allclose(
            np.asarray(found["reference"])[rows], np.asarray(margin)[rows], rtol=1e-4, atol=1e-6
        )
        now = margin + (ratios.own - ratios.other) / 2
        np.testing.assert_allclose(
            np.asarray(found["policy"])[rows], np.asarray(now)[rows], rtol=1e-4, atol=1e-6
        )


@pytest.mark.quick
def test_scores_count_each_context_alike() -> None:
    (evaluator,) = preference_pairs.evaluators(FOLDS, REFERENCE, {})
    collected = {
        "reward": np.array([1, 2, 3, -1], np.float32),
        "policy": np.array([1, -1, 1, 1], np.float32),
        "reference": np.array([1, 0, -1, -1], np.float32),
        **{name: np.asarray(batch()[name]) for name in ("pair_weight", "dialogue")},
    }
    found = evaluator.score(None, collected, "test")  # type: ignore[arg-type]
    assert found.keys() == evaluator.metrics.keys()
    assert found["reward_accuracy"] == pytest.approx(2.5 / 3)
    assert found["policy_accuracy"] == pytest.approx(2 / 3)
    assert found["reference_accuracy"] == pytest.approx(1.5 / 3)
    assert found["gain"] == pytest.approx(1 / 3)
    assert found["gain_low"] <= found["gain"] <= found["gain_high"]
