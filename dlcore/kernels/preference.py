"""Losses for tuning a language model on answers that people have labelled: KTO and DPO."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def kto(
    log_ratio: Float[Array, " rows"],
    reference_point: Float[Array, ""],
    desirable: Float[Array, " rows"],
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Float[Array, " rows"]:
    """Kahneman-Tversky loss (KTO) of single answers, each labelled desirable or undesirable.

    w (1 - sigmoid(beta (r - z))) for desirable answers and w (1 - sigmoid(beta (z - r))) for
    undesirable ones, with log ratio r, reference point z, and the weight w of the answer's kind.

    Args:
        log_ratio: log-probability of each answer under the policy minus that under the reference
            [rows], in nats.
        reference_point: estimate of the KL divergence of the policy from the reference [], in nats,
            at least 0. No gradient flows to it.
        desirable: 1 for desirable answers, 0 for undesirable ones [rows].
        beta: strength of the constraint to the reference.
        desirable_weight, undesirable_weight: w of the two kinds.

    Returns:
        The loss of each answer [rows], between 0 and its weight.

    Source: Ethayarajh et al. 2024, eq. 7 and 8.
    """
    margin = beta * (log_ratio - jax.lax.stop_gradient(reference_point))
    right = desirable_weight * jax.nn.sigmoid(-margin)
    wrong = undesirable_weight * jax.nn.sigmoid(margin)
    return jnp.where(desirable > 0, right, wrong)


def dpo(
    right_log_ratio: Float[Array, " rows"], wrong_log_ratio: Float[Array, " rows"], beta: float
) -> Float[Array, " rows"]:
    """Direct preference optimisation: loss of pairs of a right and a wrong answer to one context.

    -log sigmoid(beta (r_right - r_wrong)) with log ratios r.

    Args:
        right_log_ratio, wrong_log_ratio: log-probability of the answers under the policy minus that
            under the reference [rows], in nats.
        beta: strength of the constraint to the reference.

    Returns:
        The loss of each pair [rows], in nats; log 2 where policy and reference are the same.

    Source: Rafailov et al. 2023, eq. 7.
    """
    return -jax.nn.log_sigmoid(beta * (right_log_ratio - wrong_log_ratio))
