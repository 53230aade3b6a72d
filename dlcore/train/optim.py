"""Optimizers and learning-rate schedules, composed from Optax."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import jax
import optax
from optax import contrib

from dlcore.errors import UsageError
from dlcore.sharding import EXPERTS, STACKED, Tree

Kind = Literal["sgd", "adam", "adamw", "lion", "muon"]


def matrices(params: Tree) -> Tree:
    """Marks the parameters to which weight decay applies: those of two dimensions or more.

    This excludes biases and normalisation scales, except the biases of parallel networks
    (`models.mlp.Many`), which have two dimensions. The leading dimension of stacked layers does not
    count.

    Args:
        params: tree of parameters.

    Returns:
        Tree of bool.
    """

    def leaf(path: jax.tree_util.KeyPath, p: jax.Array) -> bool:
        stacked = STACKED.search(jax.tree_util.keystr(path, simple=True, separator="/"))
        return bool(p.ndim - (stacked is not None) >= 2)

    return jax.tree_util.tree_map_with_path(leaf, params)


def short_warmup(requested: int, steps: int) -> int:
    """Limits a number of warm-up steps to a fifth of all steps, so that short runs train too.

    Args:
        requested: number of warm-up steps of the full recipe.
        steps: number of all steps.

    Returns:
        `requested`, or a fifth of `steps`, rounded down, where that is less.
    """
    return min(requested, steps // 5)


def warmup_cosine(peak: float, steps: int, warmup: int = 0, end: float = 0.0) -> optax.Schedule:
    """Returns a schedule: linear warm-up, then half a cosine (Loshchilov & Hutter 2017).

    Args:
        peak: the rate after the warm-up.
        steps: number of all steps, the warm-up included.
        warmup: number of steps from 0 to `peak`; 0: the rate starts at `peak`.
        end: the rate at `steps`.

    Raises:
        ValueError: the warm-up is not shorter than `steps`.
    """
    if warmup >= steps:
        raise ValueError(f"warmup of {warmup} steps leaves nothing of {steps} steps")
    return optax.warmup_cosine_decay_schedule(0.0 if warmup else peak, peak, warmup, steps, end)


def warmup_linear(peak: float, steps: int, warmup: int = 0) -> optax.Schedule:
    """Returns a schedule: linear warm-up, then linear decay to 0.

    Args:
        peak: the rate after the warm-up.
        steps: number of all steps, the warm-up included; the rate is 0 there.
        warmup: number of steps from 0 to `peak`; 0: the rate starts at `peak`.

    Raises:
        ValueError: the warm-up is not shorter than `steps`.
    """
    if warmup >= steps:
        raise ValueError(f"warmup of {warmup} steps leaves nothing of {steps} steps")
    down = optax.linear_schedule(peak, 0.0, steps - warmup)
    return (
        optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), down], [warmup])
        if warmup
        else down
    )


def make(
    kind: Kind,
    rate: float | optax.Schedule,
    *,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
    momentum: float = 0.9,
    b2: float | None = None,
    ema: float = 0.0,
    coupled: bool | None = None,
) -> optax.GradientTransformation:
    """Composes an optimizer: clipping, weight decay on matrices, and an average of the parameters.

    Args:
        kind: "sgd" (with Nesterov momentum), "adam" (Kingma & Ba 2015), "adamw" (Loshchilov &
            Hutter 2019), "lion" (Chen et al. 2023) or "muon" (Jordan et al. 2024).
        rate: the learning rate, or a schedule of it.
        weight_decay: of matrices, decoupled (rate * weight_decay * p is subtracted beside the
            update) or coupled.
        clip_norm: largest global norm of the gradient; 0: no clipping.
        momentum: of sgd and muon; the first beta of the others. In [0, 1).
        b2: the second beta, in [0, 1); None: 0.99 for lion, 0.999 for the others. sgd ignores it;
            muon uses it for the parameters that Adam trains, whose first beta is 0.9.
        ema: decay of the average of the parameters (`averaged`), in [0, 1); 0: no average.
        coupled: whether weight_decay * p is added to the gradient after clipping (L2
            regularisation) and so enters momentum and moments; None: for adam alone.

    Returns:
        The transformation of gradients to updates, which are added to the parameters.

    Raises:
        UsageError: an unknown kind, or a number outside its range; from `init` of muon also, where
            there is no kernel of a dense layer.
    """
    _check(
        kind,
        weight_decay,
        clip_norm,
        {"momentum": momentum, "b2": 0.0 if b2 is None else b2, "ema": ema},
    )
    second = (0.99 if kind == "lion" else 0.999) if b2 is None else b2
    scales: dict[Kind, optax.GradientTransformation] = {
        "sgd": optax.trace(momentum, nesterov=True) if momentum else optax.identity(),
        "adam": optax.scale_by_adam(momentum, second),
        "adamw": optax.scale_by_adam(momentum, second),
        "lion": optax.scale_by_lion(momentum, second),
        "muon": _muon(momentum, second),
    }
    clipping = [optax.clip_by_global_norm(clip_norm)] if clip_norm else []
    scaled = [scales[kind]]
    if weight_decay:
        coupled = kind == "adam" if coupled is None else coupled
        scaled.insert(0 if coupled else 1, optax.add_decayed_weights(weight_decay, mask=matrices))
    optimizer = optax.chain(*clipping, *scaled, optax.scale_by_learning_rate(rate))
    return averaged(optimizer, ema) if ema else optimizer


def _check(kind: Kind, weight_decay: float, clip_norm: float, fractions: dict[str, float]) -> None:
    if kind not in get_args(Kind):
        raise UsageError(f"{kind!r} is not an optimizer: choose one of {', '.join(get_args(Kind))}")
    for name, value in fractions.items():
        if not 0 <= value < 1:
            raise UsageError(
                f"{name} {value} of {kind} is outside [0, 1): it is the decay of an average"
            )
    for name, value in (("weight_decay", weight_decay), ("clip_norm", clip_norm)):
        if not 0 <= value < math.inf:
            raise UsageError(
                f"{name} {value} of {kind}: it must be at least 0 (0: none) and finite"
            )


def _muon(momentum: float, b2: float) -> optax.GradientTransformation:
    """Muon (Jordan et al. 2024) for the kernels of dense layers, Adam for all other parameters.

    The kernels of experts are as many matrices, each made orthogonal by itself.

    An orthogonal update is scaled by 0.2 sqrt(larger dimension), which gives it the size of an
    update of Adam's, so that one learning rate fits both (Liu et al. 2025, eq. 4).
    """

    def labels(params: Tree) -> Tree:
        def kind(path: jax.tree_util.KeyPath, p: jax.Array) -> str:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            dimensions = 3 if EXPERTS.search(name) else 2
            is_kernel = jax.tree_util.keystr(path[-1:], simple=True) == "kernel"
            return "muon" if p.ndim == dimensions and is_kernel else "adam"

        kinds = jax.tree_util.tree_map_with_path(kind, params)
        if "muon" not in jax.tree.leaves(kinds):
            raise UsageError(
                "muon finds no matrix of a dense layer among these parameters (stacked ones are"
                " none): take adamw"
            )
        return kinds

    # Leaves of Adam's are masked here. Optax needs the dimensions of the others,
    # since it would look for them in masked leaves too.
    last_two = lambda p: contrib.MuonDimensionNumbers(p.ndim - 2, p.ndim - 1)  # noqa: E731
    dimensions = lambda tree: jax.tree.map(last_two, tree)  # noqa: E731
    sized = optax.stateless(
        lambda updates, _: jax.tree.map(lambda u: u * (0.2 * max(u.shape[-2:]) ** 0.5), updates)
    )
    muon = optax.chain(
        contrib.scale_by_muon(beta=momentum, weight_dimension_numbers=dimensions), sized
    )
    return optax.multi_transform({"muon": muon, "adam": optax.scale_by_adam(0.9, b2)}, labels)


class Averaged(NamedTuple):
    """The state of `averaged`, and of the schedule-free AdamW of `Recipe`.

    Attributes:
        inner: the state of the inner optimizer.
        average: the average of the parameters that is evaluated, a tree of their structure.
    """

    inner: optax.OptState
    average: Tree


def averaged(inner: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """Adds to an optimizer an exponential moving average of the parameters (Polyak 1990).

    After each update average <- decay * average + (1 - decay) * parameters. It starts at the
    initial parameters.

    Args:
        inner: the optimizer.
        decay: in [0, 1).

    Returns:
        The optimizer, with the same updates and the state `Averaged`; its `update` needs `params`.
    """

    def init(params: Tree) -> Averaged:
        return Averaged(inner.init(params), params)

    def update(grads: Tree, state: Averaged, params: Tree | None = None) -> tuple[Tree, Averaged]:
        updates, inner_state = inner.update(grads, state.inner, params)
        new_params = jax.tree.map(lambda p, u: p + u, params, updates)
        return updates, Averaged(
            inner_state,
            jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, state.average, new_params),
        )

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]


def average(opt: optax.OptState) -> Tree:
    """Returns the average of the parameters from the state of an optimizer made with `ema`.

    Raises:
        ValueError: the optimizer keeps no average.
    """
    if not isinstance(opt, Averaged):
        raise ValueError("this optimizer keeps no average: make it with ema > 0")
    return opt.average
