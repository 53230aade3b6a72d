"""Preference tuning on pairs of a right and a wrong answer to one context (DPO), cross-validated.

Policy k of K learns from the pairs of all folds but fold k, by which alone it is evaluated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.kernels.preference import dpo
from dlcore.metrics.known import Metric
from dlcore.metrics.preference import clustered_mean_interval
from dlcore.tasks.preference import LogRatios, Tuning, log_ratios
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.model import Model
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean

_SCORES = {
    "reward_accuracy": Metric("higher"),
    "policy_accuracy": Metric("higher"),
    "reference_accuracy": Metric(None, baseline_of="reward_accuracy"),
    "gain": Metric("higher"),
}
METRICS = {
    f"{name}{end}": metric if not end else Metric(None)
    for name, metric in _SCORES.items()
    for end in ("", "_low", "_high")
}


def policies(policy: Model, folds: int) -> list[Model]:
    """Returns a policy for each fold: the given one for fold 0, and "fold_1", "fold_2", ...

    All begin with the parameters of the first.

    Args:
        policy: computes logits of tokens.
        folds: number of folds.
    """
    first = policy.init_as or policy.name
    others = (dataclasses.replace(policy, name=f"fold_{k}", init_as=first) for k in range(1, folds))
    return [policy, *others]


def tuning(
    policy: Model,
    reference: Model,
    sources: Mapping[str, Source | None],
    beta: float,
    folds: int,
) -> Tuning:
    """Returns models, losses and evaluators that tune one policy per fold by DPO.

    Args:
        policy, reference, beta: see `loss`.
        sources: see `evaluators`.
        folds: number of folds.

    Returns:
        A `Tuning` of the policies that `policies` returns; its `best` is "", none.
    """
    every = policies(policy, folds)
    losses = {each.name: loss(each, reference, beta, fold) for fold, each in enumerate(every)}
    return Tuning([*every, reference], losses, evaluators(every, reference, sources), "")


def loss(policy: Model, reference: Model, beta: float, fold: int) -> Loss:
    """Returns the DPO loss of a fold's policy (Rafailov et al. 2023, eq. 7), over weighted pairs.

    In training it is over the pairs of the other folds, in evaluation over those of this fold.
    Pairs have weights by which each context counts alike. Metrics: `accuracy`, the fraction of
    pairs whose right answer has the higher log-ratio (ties count half), and `log_ratio_right` and
    `log_ratio_wrong` in nats.

    Args:
        policy, reference: compute logits of `tokens`; the reference has no objective. A batch has
            the fields of `log_ratios` with prefix "wrong", and `fold`, `pair_weight` and `mask`.
        beta: see `kernels.preference.dpo`.
        fold: number of the fold, from 0.
    """

    def of_pairs(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        found = log_ratios(policy, reference, params, extra, batch, key, train, "wrong")
        same = batch["fold"] == fold
        counts = batch["mask"] * batch["pair_weight"] * (~same if train else same)
        metrics = {
            "accuracy": mean((jnp.sign(found.own - found.other) + 1) / 2, counts),
            "log_ratio_right": mean(found.own, counts),
            "log_ratio_wrong": mean(found.other, counts),
        }
        return Out(mean(dpo(found.own, found.other, beta), counts), metrics, extra)

    return of_pairs


def evaluators(
    policies: Sequence[Model], reference: Model, sources: Mapping[str, Source | None]
) -> list[Evaluator]:
    """Evaluates how often the right answer of a pair scores higher, each pair by its fold's policy.

    It runs at the end. The accuracy of a context is the fraction of its pairs whose right answer
    has the higher score; ties count half. Each metric is a mean over contexts, and with the
    suffixes `_low` and `_high` a bound of its 95 % interval over dialogues. `reward_accuracy`
    scores by the log-ratio of policy and reference, `policy_accuracy` and `reference_accuracy` by
    the mean log-probability of a token; `gain` is `reward_accuracy` less `reference_accuracy`.

    Args:
        policies: of the folds, in order.
        reference: see `loss`.
        sources: {split: pairs}, see `data.sets.dialogue_pairs`.
    """

    def collect(state: State, batch: Batch) -> dict[str, Array]:
        of_folds = [
            log_ratios(each, reference, state.params, state.extra, batch, other="wrong")
            for each in policies
        ]
        chosen = batch["fold"][None] == jnp.arange(len(policies))[:, None]
        found = LogRatios(*(_of_fold(each, chosen) for each in zip(*of_folds, strict=True)))
        sizes = [jnp.maximum(batch[f"{name}weight"].sum(-1), 1) for name in ("", "wrong_")]
        before = found.reference, found.other_reference
        now = found.own + found.reference, found.other + found.other_reference
        return {
            "reward": found.own - found.other,
            "policy": now[0] / sizes[0] - now[1] / sizes[1],
            "reference": before[0] / sizes[0] - before[1] / sizes[1],
            "pair_weight": batch["pair_weight"],
            "dialogue": batch["dialogue"],
        }

    def score(collected: Collected, split: str) -> dict[str, float]:
        right = {
            f"{name}_accuracy": (np.sign(collected[name].astype(np.float64)) + 1) / 2
            for name in ("reward", "policy", "reference")
        }
        right["gain"] = right["reward_accuracy"] - right["reference_accuracy"]
        out: dict[str, float] = {}
        for name, value in right.items():
            found = clustered_mean_interval(value, collected["pair_weight"], collected["dialogue"])
            ends = (f"{name}{end}" for end in ("", "_low", "_high"))
            out |= dict(zip(ends, found, strict=True))
        return out

    return [Scored(sources, collect, score, METRICS, "end")]


def _of_fold(values: Sequence[Array], chosen: Array) -> Array:
    """The value of the policy that is chosen for each row."""
    return jnp.where(chosen, jnp.stack(values), 0).sum(0)
