"""Optimizers and schedules: Optax, put together as the field uses it."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, get_args

import jax
import optax
from optax import contrib

from dlcore.errors import UsageError
from dlcore.sharding import STACKED

Tree = Any
Kind = Literal["sgd", "adam", "adamw", "lion", "muon"]


def matrices(params: Tree) -> Tree:
    """True for what weight decay applies to: parameters of two dimensions or more, so no bias and
    no normalisation scale, but for networks side by side (`models.mlp.Many`), whose biases have
    two.

    Stacked layers have a dimension more, which does not count.
    """

    def leaf(path: Any, p: Any) -> bool:
        stacked = STACKED.search(jax.tree_util.keystr(path, simple=True, separator="/"))
        return bool(p.ndim - (stacked is not None) >= 2)

    return jax.tree_util.tree_map_with_path(leaf, params)


def short_warmup(requested: int, steps: int) -> int:
    """`asked` steps of warmup, or a fifth of `steps` where that is less: a short trial of a long
    recipe warms up and descends too.
    """
    return min(requested, steps // 5)


def warmup_cosine(peak: float, steps: int, warmup: int = 0, end: float = 0.0) -> optax.Schedule:
    """Linear from 0 to `peak` over `warmup` steps, then half a cosine (Loshchilov & Hutter 2017)
    down to `end` at `steps`.
    """
    if warmup >= steps:
        raise ValueError(f"warmup of {warmup} steps leaves nothing of {steps} steps")
    return optax.warmup_cosine_decay_schedule(0.0 if warmup else peak, peak, warmup, steps, end)


def warmup_linear(peak: float, steps: int, warmup: int = 0) -> optax.Schedule:
    """Linear from 0 to `peak` over `warmup` steps, then linear down to 0 at `steps`."""
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
    decay: float = 0.0,
    clip: float = 0.0,
    momentum: float = 0.9,
    b2: float | None = None,
    ema: float = 0.0,
) -> optax.GradientTransformation:
    """One of five optimizers, with weight decay on matrices only, global-norm clipping and a
    parameter average.

    Args:
        kind: sgd (Nesterov), adam (Kingma & Ba 2015), adamw (Loshchilov & Hutter 2019), lion, muon.
        rate: the learning rate, or a schedule of it.
        decay: weight decay. It is decoupled (rate * decay * p is taken from p beside the update),
        but for adam, where
            decay * p is added to the gradient after clipping (L2 regularisation), and so passes
            through both moments.
        clip: the largest global norm of the gradient; 0: no clipping.
        momentum: of sgd and muon; the first beta of the others. In [0, 1).
        b2: the second beta, in [0, 1); None: 0.99 for lion, 0.999 for the others. sgd has none and
        ignores it. ema: the decay of the parameter average (`averaged`); 0: no average.

    Raises:
        UsageError: a kind that is not there, or a number outside of its range.
    """
    _check(kind, decay, clip, {"momentum": momentum, "b2": 0.0 if b2 is None else b2, "ema": ema})
    second = (0.99 if kind == "lion" else 0.999) if b2 is None else b2
    scales: dict[Kind, optax.GradientTransformation] = {
        "sgd": optax.trace(momentum, nesterov=True) if momentum else optax.identity(),
        "adam": optax.scale_by_adam(momentum, second),
        "adamw": optax.scale_by_adam(momentum, second),
        "lion": optax.scale_by_lion(momentum, second),
        "muon": _muon(momentum, second),
    }
    parts = [optax.clip_by_global_norm(clip)] if clip else []
    scaled = [scales[kind]]
    if decay:
        scaled.insert(0 if kind == "adam" else 1, optax.add_decayed_weights(decay, mask=matrices))
    optimizer = optax.chain(*parts, *scaled, optax.scale_by_learning_rate(rate))
    return averaged(optimizer, ema) if ema else optimizer


def _check(kind: Kind, decay: float, clip: float, fractions: dict[str, float]) -> None:
    if kind not in get_args(Kind):
        raise UsageError(f"{kind!r} is no optimizer: choose one of {', '.join(get_args(Kind))}")
    for name, value in fractions.items():
        if not 0 <= value < 1:
            raise UsageError(
                f"{name} {value} of {kind} is outside [0, 1): it is what an average keeps at each"
                " step"
            )
    for name, value in (("decay", decay), ("clip", clip)):
        if not 0 <= value < math.inf:
            raise UsageError(
                f"{name} {value} of {kind}: it must be at least 0 (0: none) and finite"
            )


def _muon(momentum: float, b2: float) -> optax.GradientTransformation:
    """Muon (Jordan et al. 2024) for the matrices of dense layers, Adam for everything else,
    embeddings too.

    An orthogonal update is scaled by 0.2 sqrt(larger side), to the size of Adam's (Liu et al. 2025,
    eq. 4): one rate fits both.
    """

    def labels(params: Tree) -> Tree:
        found = jax.tree_util.tree_map_with_path(
            lambda path, p: (
                "muon"
                if p.ndim == 2 and jax.tree_util.keystr(path[-1:], simple=True) == "kernel"
                else "adam"
            ),
            params,
        )
        if "muon" not in jax.tree.leaves(found):
            raise UsageError(
                "muon finds no matrix of a dense layer among these parameters (stacked ones are"
                " none): take adamw"
            )
        return found

    # A leaf that is not Muon's is masked here: sides must be named for the others, or Optax looks
    # for them in what is masked.
    sides = lambda tree: jax.tree.map(lambda _: contrib.MuonDimensionNumbers(0, 1), tree)  # noqa: E731
    sized = optax.stateless(
        lambda updates, _: jax.tree.map(lambda u: u * (0.2 * max(u.shape) ** 0.5), updates)
    )
    muon = optax.chain(contrib.scale_by_muon(beta=momentum, weight_dimension_numbers=sides), sized)
    return optax.multi_transform({"muon": muon, "adam": optax.scale_by_adam(0.9, b2)}, labels)


class Averaged(NamedTuple):
    """The state of `averaged`: the inner optimizer's, and the exponential moving average of the
    parameters.
    """

    inner: optax.OptState
    average: Tree


def averaged(inner: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """`inner`, and beside it an average of the parameters after each update: a <- decay a + (1 -
    decay) p (Polyak 1990).
    """

    def init(params: Tree) -> Averaged:
        return Averaged(inner.init(params), params)

    def update(grads: Tree, state: Averaged, params: Tree | None = None) -> tuple[Tree, Averaged]:
        updates, after = inner.update(grads, state.inner, params)
        now = jax.tree.map(lambda p, u: p + u, params, updates)
        return updates, Averaged(
            after, jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, state.average, now)
        )

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]


def average(opt: Any) -> Tree:
    """The averaged parameters that an optimizer made with `ema` keeps."""
    if not isinstance(opt, Averaged):
        raise ValueError("this optimizer keeps no average: make it with ema > 0")
    return opt.average
