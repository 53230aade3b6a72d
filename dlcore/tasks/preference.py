"""Preference tuning of a GPT on answers that were labelled right or wrong (KTO)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.kernels.preference import kto
from dlcore.metrics.known import Metric
from dlcore.metrics.preference import pair_accuracy_interval
from dlcore.models.sequence_probability import log_probability
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.gather import all_rows
from dlcore.train.model import Model
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean


class Tuning(NamedTuple):
    """The models, losses and evaluators of an experiment of preference tuning.

    Attributes:
        models: the policies, then their frozen reference.
        losses: {name of the policy: its loss}.
        evaluators: of the policies.
        best: see `Experiment.best`; "": none.
    """

    models: list[Model]
    losses: dict[str, Loss]
    evaluators: list[Evaluator]
    best: str


class LogRatios(NamedTuple):
    """Log-ratios of answers: log p(answer | policy) - log p(answer | reference), in nats [rows].

    Attributes:
        own: log-ratio of each example's answer.
        other: log-ratio of its other answer, see `log_ratios`.
        reference, other_reference: log-probabilities of both answers under the reference.
    """

    own: Array
    other: Array
    reference: Array
    other_reference: Array


def loss(
    policy: Model,
    reference: Model,
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Loss:
    """Returns the KTO loss of labelled answers (Ethayarajh et al. 2024); it trains the policy only.

    The reference point is the mean over the global batch of the log-ratio of `other`, the answer to
    another context, or 0 where that is negative, so that an evaluated loss and `divergence` depend
    on the batch size; with microbatches the loss raises UsageError when it is called
    (`train.gather.all_rows`). Metrics: `log_ratio_right` and `log_ratio_wrong`, of
    right and of wrong answers in nats, and `divergence`, the reference point.

    Args:
        policy, reference: compute logits of `tokens`, see `log_ratios`; the reference has no
            objective. A batch also has `desirable` [batch], 1 for a right answer, and `mask`.
        beta, desirable_weight, undesirable_weight: see `kernels.preference.kto`.
    """

    def of_answers(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        ratios = log_ratios(policy, reference, params, extra, batch, key, train)
        mask, right = batch["mask"], batch["desirable"]
        every, counted = all_rows(ratios.other), all_rows(mask)
        point = jnp.maximum((every * counted).sum() / jnp.maximum(counted.sum(), 1), 0)
        each = kto(ratios.own, point, right, beta, desirable_weight, undesirable_weight)
        metrics = {
            "log_ratio_right": mean(ratios.own, mask * right),
            "log_ratio_wrong": mean(ratios.own, mask * (1 - right)),
            "divergence": mean(jnp.broadcast_to(point, each.shape), mask),
        }
        return Out(mean(each, mask), metrics, extra)

    return of_answers


def log_ratios(
    policy: Model,
    reference: Model,
    params: Params,
    extra: Extra,
    batch: Batch,
    key: Array | None = None,
    train: bool = False,
    other: str = "other",
) -> LogRatios:
    """Computes the log-ratios of each example's answer and of its other answer.

    Args:
        policy, reference: compute logits of tokens; no gradient flows to the reference.
        params, extra: of all models, by name.
        batch: with `tokens`, `targets` and `weight`, each [batch, length], and the same fields of
            the other answers, such as `other_tokens`; for dropout also `row`, int [batch].
        key, train: for the policy's dropout.
        other: prefix of the other answers' fields: "other", the answer to another context, or
            "wrong", the wrong answer to the same context.

    Returns:
        `LogRatios`: both log-ratios and both log-probabilities under the reference, each [batch],
        in nats. An answer's log-probability is the sum over its tokens, each times `weight`.
    """
    both = {
        name: jnp.concatenate([batch[name], batch[f"{other}_{name}"]])
        for name in ("tokens", "targets", "weight")
    }
    row = batch.get("row")
    rows = None if row is None else jnp.concatenate([row, row])
    logits, _ = policy.apply(params, extra, both["tokens"], key=key, train=train, row=rows)
    before = reference.on(params, extra, both["tokens"])
    now, then = (
        log_probability(each, both["targets"], both["weight"])
        for each in (logits, jax.lax.stop_gradient(before))
    )
    return LogRatios(*jnp.split(now - then, 2), *jnp.split(then, 2))


def tuning(
    policy: Model,
    reference: Model,
    sources: Mapping[str, Source | None],
    beta: float,
    desirable_weight: float,
    undesirable_weight: float,
) -> Tuning:
    """Returns models, loss and evaluators that tune one policy by KTO.

    Args:
        policy, reference, beta, desirable_weight, undesirable_weight: see `loss`.
        sources: see `evaluators`.

    Returns:
        A `Tuning` whose `best` is "validation/reward_accuracy".
    """
    made = loss(policy, reference, beta, desirable_weight, undesirable_weight)
    return Tuning(
        [policy, reference],
        {policy.name: made},
        evaluators(policy, reference, sources),
        "validation/reward_accuracy",
    )


_ACCURACY = {"": Metric("higher"), "_low": Metric(None), "_high": Metric(None)}


def evaluators(
    policy: Model, reference: Model, sources: Mapping[str, Source | None]
) -> list[Evaluator]:
    """Evaluates how often a right answer scores above a wrong one, with intervals of 95 %.

    It runs at each evaluation, for "test" at the end alone. Accuracies are fractions of all pairs
    of a right and a wrong answer of the split, of any contexts; ties count half. `reward_accuracy`
    scores by the log-ratio of policy and reference, `policy_accuracy` and `reference_accuracy` by
    the mean log-probability of a token; `gain` is `reward_accuracy` less `reference_accuracy`. The
    suffixes `_low` and `_high` mark the bounds of the bootstrap interval over dialogues.

    Args:
        policy, reference: see `loss`.
        sources: {split: labelled answers}, see `data.sets.dialogue_rewards`.
    """
    names = ("reward", "policy", "reference")

    def collect(state: State, batch: Batch) -> dict[str, Array]:
        found = log_ratios(policy, reference, state.params, state.extra, batch)
        tokens = jnp.maximum(batch["weight"].sum(-1), 1)
        return {
            "reward": found.own,
            "policy": (found.own + found.reference) / tokens,
            "reference": found.reference / tokens,
            "right": batch["desirable"],
            "dialogue": batch["dialogue"],
        }

    def score(collected: Collected, split: str) -> dict[str, float]:
        right, dialogue = collected["right"], collected["dialogue"]
        scores = {name: collected[name].astype(np.float64) for name in names}
        found = {
            f"{name}_accuracy": pair_accuracy_interval(each, right, dialogue)
            for name, each in scores.items()
        }
        found["gain"] = pair_accuracy_interval(
            scores["reward"], right, dialogue, minus=scores["reference"]
        )
        return {
            f"{name}{end}": value
            for name, interval in found.items()
            for end, value in zip(_ACCURACY, interval, strict=True)
        }

    measured = (*(f"{name}_accuracy" for name in names), "gain")
    metrics = {f"{name}{end}": m for name in measured for end, m in _ACCURACY.items()}
    metrics["reference_accuracy"] = Metric("higher", baseline_of="reward_accuracy")
    return [Scored(sources, collect, score, metrics)]
