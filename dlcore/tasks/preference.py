"""Preference tuning of a GPT on answers that were labelled right or wrong (KTO)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.data.tokens import Subwords
from dlcore.kernels.preference import kto
from dlcore.metrics.known import Metric
from dlcore.metrics.preference import pair_accuracy_interval
from dlcore.models.sequence_probability import log_probability
from dlcore.samples import Sample, Table
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.gather import all_rows
from dlcore.train.model import Model
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean


class Tuning(NamedTuple):
    """What an experiment of preference tuning is made of.

    Attributes:
        models: the policies and their reference.
        losses: of the policies, by name.
        evaluators: of the policies.
        best: see `Experiment.best`.
    """

    models: list[Model]
    losses: dict[str, Loss]
    evaluators: list[Evaluator]
    best: str


class LogRatios(NamedTuple):
    """Log-probabilities of answers under the policy, less those under the reference [rows].

    Attributes:
        own: of each example's answer.
        other: of its other answer.
        reference, other_reference: log-probabilities of both under the reference.
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
    """KTO of labelled answers; only the policy is trained.

    The reference point is the mean log-ratio of answers to other contexts over the batch, at least
    0. Metrics: `log_ratio_right` and `log_ratio_wrong` in nats, and `divergence`, the reference
    point.

    Args:
        policy, reference: compute logits of `tokens`; the reference has no objective.
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
    """Computes the log-ratios of a batch.

    Args:
        policy, reference: compute logits of tokens.
        params, extra: of both.
        batch: with `tokens`, `targets`, `weight` and the same fields of the other answers.
        key, train: of the policy's dropout.
        other: prefix of the fields of the other answers: "other", to another context, or "wrong".
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
    """Tunes one policy by KTO.

    Args:
        policy, reference, beta, desirable_weight, undesirable_weight: see `loss`.
        sources: see `evaluators`.
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

    `reward_accuracy` scores by the log-ratio of policy and reference, `policy_accuracy` and
    `reference_accuracy` by the mean log-probability of a token. `_low` and `_high` are the bounds.

    Args:
        policy, reference: see `loss`.
        sources: {split: labelled answers}.
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
        }

    def score(collected: Collected, split: str) -> dict[str, float]:
        right = collected["right"]
        out: dict[str, float] = {}
        for name in names:
            found = pair_accuracy_interval(collected[name].astype(np.float64), right)
            out |= dict(zip((f"{name}_accuracy{end}" for end in _ACCURACY), found, strict=True))
        return out

    metrics = {f"{name}_accuracy{end}": m for name in names for end, m in _ACCURACY.items()}
    return [Scored(sources, collect, score, metrics)]


def samples(
    policy: Model, reference: Model, source: Source, tokens: Subwords, count: int = 20
) -> Callable[[State, Array], list[Sample]]:
    """Shows held-out answers with their labels and log-ratios.

    Args:
        policy, reference: see `loss`.
        source: labelled answers, or pairs of them (`data.sets.dialogue_pairs`), of which those of
            fold 0 are shown, which alone the policy has not learned from.
        tokens: the tokenizer.
        count: number of answers at most, half of them right, evenly spread.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        every = source.gather(np.arange(len(source)))
        labelled = "desirable" in every
        kinds = [every["desirable"] == k for k in (1, 0)] if labelled else [every["fold"] == 0]
        parts = [_spread(np.flatnonzero(kind), count // 2) for kind in kinds]
        chosen = np.sort(np.concatenate(parts))
        batch = {name: array[chosen] for name, array in every.items()}
        arrays = {name: jnp.asarray(x) for name, x in batch.items()}
        other = "other" if labelled else "wrong"
        found = log_ratios(policy, reference, state.params, state.extra, arrays, other=other)
        if labelled:
            answers = [("", batch["desirable"], found.own)]
        else:
            answers = [
                ("", np.ones(len(chosen)), found.own),
                ("wrong_", np.zeros(len(chosen)), found.other),
            ]
        rows = [
            _row(tokens, batch, prefix, i, bool(label[i]), float(ratio[i]))
            for i in range(len(chosen))
            for prefix, label, ratio in answers
        ]
        return [Table("Held-out answers", _HEADER, tuple(rows))]

    return draw


_HEADER = ("end of the context", "answer", "label", "log-ratio in nats", "its sign is")
_SHOWN = 24  # tokens of a context


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of some rows, evenly spread."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))]


def _row(
    tokens: Subwords,
    batch: Mapping[str, np.ndarray],
    prefix: str,
    i: int,
    label: bool,
    ratio: float,
) -> tuple[str | float, ...]:
    """One answer; a positive log-ratio counts it as right."""
    counted = np.flatnonzero(batch[f"{prefix}weight"][i])
    context = batch[f"{prefix}tokens"][i, max(0, counted[0] - _SHOWN) : counted[0] + 1]
    messages = np.split(context, np.flatnonzero(context < len(tokens.specials)))
    answer = batch[f"{prefix}targets"][i, counted]
    names = "wrong", "right"
    return (
        " | ".join(filter(None, map(tokens.decode, messages))),
        tokens.decode(answer),
        names[label],
        round(ratio, 3),
        names[(ratio > 0) == label],
    )
