"""Language modelling by a mixture of experts: losses of the router, and how even the load is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from dlcore.kernels.experts import expert_load, load_balance, router_z
from dlcore.models.experts import ROUTING, Routed
from dlcore.models.gpt import Size
from dlcore.sharding import Tree
from dlcore.tasks import language_modelling
from dlcore.train.model import Logits, Model
from dlcore.train.step import Batch, Extra, Loss, Mean, Out, Params
from dlcore.train.tuning import Tuned, Whole


def loss(
    model: Model | Whole | Tuned,
    size: Size,
    label_smoothing: float = 0.0,
    balance: float = 0.01,
    router_z: float = 0.001,
) -> Loss:
    """Returns the cross-entropy of the next token, in training with the losses of the router.

    These are the load-balance loss and the z-loss, each times its factor, as means over tokens and
    layers. Without experts it is `language_modelling.loss`. Further metrics, means over tokens and
    layers:

    - `balance`, `router_z`: both losses before their factors. An even load has a balance of 1.
    - `busiest_expert`: load of a row's busiest expert over the mean load, 1 if even.
    - `dropped`: fraction of (token, expert) choices beyond an expert's capacity; 0 in evaluation.

    Args:
        model: computes logits, see `language_modelling.loss`; its network, or that of the model
            that it tunes, is `GPT(size)`.
        size: of the network.
        label_smoothing: see `language_modelling.loss`.
        balance: factor of the load-balance loss (Fedus et al. 2022 use 0.01).
        router_z: factor of the z-loss (Zoph et al. 2022 use 0.001).

    Raises:
        ValueError: a label smoothing outside [0, 1).
    """
    if not size.experts:
        return language_modelling.loss(model, label_smoothing)
    if isinstance(model, Model):
        collecting: Logits = dataclasses.replace(model, collect=ROUTING)
    else:
        base = dataclasses.replace(model.base, collect=ROUTING)
        collecting = dataclasses.replace(model, base=base)

    def of_experts(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        (logits, collected), after = collecting(params, extra, batch, key, train)
        prediction = language_modelling.loss(lambda *_: (logits, after), label_smoothing)
        out = prediction(params, extra, batch, key, train)
        metrics = _metrics(collected[ROUTING], batch["weight"] * batch["mask"][:, None], size)
        if train:
            added = (balance, metrics["balance"]), (router_z, metrics["router_z"])
            # their weight is that of the cross-entropy, times the layers
            total = sum(factor * each.total for factor, each in added) / size.layers
            out = out._replace(loss=Mean(out.loss.total + total, out.loss.weight))
        return out._replace(metrics={**out.metrics, **metrics})

    return of_experts


def _metrics(
    collected: Tree, weight: Float[Array, "batch length"], size: Size
) -> Mapping[str, Mean]:
    """The metrics of `loss` from what each layer, or a stack of them, has put down."""
    routed = jax.tree.leaves(collected, is_leaf=lambda x: isinstance(x, Routed))
    logits = jnp.concatenate([x.logits.reshape(-1, *x.logits.shape[-2:]) for x in routed])
    kept = jnp.concatenate([x.kept.reshape(-1, *x.kept.shape[-2:]) for x in routed])
    weight = jnp.tile(weight.astype(logits.dtype), (size.layers, 1))
    tokens = weight.sum(1)
    busiest = size.experts * expert_load(logits, weight, size.top).max(-1)
    dropped = weight * (~kept).mean(-1, dtype=logits.dtype)
    return {
        "balance": Mean((tokens * load_balance(logits, weight, size.top)).sum(), tokens.sum()),
        "router_z": Mean((weight * router_z(logits)).sum(), tokens.sum()),
        "busiest_expert": Mean((tokens * busiest).sum(), tokens.sum()),
        "dropped": Mean(dropped.sum(), tokens.sum()),
    }
