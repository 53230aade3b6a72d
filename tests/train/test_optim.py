"""Optimizers against updates written by hand in float64; schedules at their corners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore.errors import UsageError
from dlcore.train import optim

GENERATOR = np.random.default_rng(0)
PARAMS = {"kernel": GENERATOR.standard_normal((3, 2)), "bias": GENERATOR.standard_normal(2)}
GRADS = [
    {name: GENERATOR.standard_normal(p.shape) * size for name, p in PARAMS.items()}
    for size in (3.0, 0.01)
]
RATE, DECAY, CLIP = 0.1, 0.05, 1.0

Tree = dict[str, np.ndarray]
Rule = Callable[[np.ndarray, list[np.ndarray]], np.ndarray]


def sgd(g: np.ndarray, before: list[np.ndarray], momentum: float = 0.9) -> np.ndarray:
    """Nesterov's momentum: velocity v <- m v + g, step g + m v."""
    v = np.zeros_like(g)
    for each in [*before, g]:
        v = momentum * v + each
    return g + momentum * v


def adam(g: np.ndarray, before: list[np.ndarray], b1: float = 0.9, b2: float = 0.999) -> np.ndarray:
    """Both moments with their bias taken out."""
    m, v = np.zeros_like(g), np.zeros_like(g)
    for each in [*before, g]:
        m, v = b1 * m + (1 - b1) * each, b2 * v + (1 - b2) * each**2
    t = len(before) + 1
    return m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + 1e-8)


def lion(g: np.ndarray, before: list[np.ndarray], b1: float = 0.9, b2: float = 0.99) -> np.ndarray:
    """The sign of an interpolation."""
    m = np.zeros_like(g)
    for each in before:
        m = b2 * m + (1 - b2) * each
    return np.sign(b1 * m + (1 - b1) * g)


def by_hand(rule: Rule, decay: float, clip: float, coupled: bool = False) -> list[Tree]:
    """The parameters after each update; `coupled`: the decay is part of the gradient (Loshchilov &
    Hutter 2019, alg. 2, pink).
    """
    params, seen, history = dict(PARAMS), {name: [] for name in PARAMS}, []
    for grads in GRADS:
        norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
        grads = {name: g * min(1, clip / norm) if clip else g for name, g in grads.items()}
        for name, g in grads.items():
            pull = decay * params[name] if params[name].ndim > 1 else 0  # matrices alone decay
            if coupled:
                g, pull = g + pull, 0
            params = {**params, name: params[name] - RATE * (rule(g, seen[name]) + pull)}
            seen[name].append(g)
        history.append(params)
    return history


def steps(
    optimizer: optax.GradientTransformation, params: Any, grads: list[Any]
) -> tuple[list[Any], Any]:
    """The parameters after each update, and the last state."""
    opt, history = optimizer.init(params), []
    for each in grads:
        updates, opt = optimizer.update(each, opt, params)
        params = optax.apply_updates(params, updates)
        history.append(params)
    return history, opt


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "rule"), [("sgd", sgd), ("adam", adam), ("adamw", adam), ("lion", lion)]
)
@pytest.mark.parametrize(("decay", "clip"), [(0.0, 0.0), (DECAY, CLIP)])
def test_the_first_two_updates_are_those_of_the_paper(
    kind: Any, rule: Rule, decay: float, clip: float
) -> None:
    with jax.enable_x64(True):
        history, _ = steps(
            optim.make(kind, RATE, weight_decay=decay, clip_norm=clip),
            jax.tree.map(jnp.asarray, PARAMS),
            GRADS,
        )
        for found, expected in zip(
            history, by_hand(rule, decay, clip, kind == "adam"), strict=True
        ):
            for name in PARAMS:
                np.testing.assert_allclose(found[name], expected[name], rtol=1e-10)


def test_betas_and_momentum_reach_the_optimizer() -> None:
    with jax.enable_x64(True):
        tree = jax.tree.map(jnp.asarray, PARAMS)
        for kind, how, rule in (
            ("sgd", {"momentum": 0.5}, lambda g, seen: sgd(g, seen, 0.5)),
            ("sgd", {"momentum": 0.0}, lambda g, seen: g),
            ("adamw", {"momentum": 0.5, "b2": 0.9}, lambda g, seen: adam(g, seen, 0.5, 0.9)),
            ("adam", {"momentum": 0.0, "b2": 0.0}, lambda g, seen: adam(g, seen, 0.0, 0.0)),
            ("adamw", {"b2": 0.0}, lambda g, seen: adam(g, seen, 0.9, 0.0)),
            ("lion", {"b2": 0.0}, lambda g, seen: lion(g, seen, 0.9, 0.0)),
            ("lion", {"momentum": 0.5, "b2": 0.8}, lambda g, seen: lion(g, seen, 0.5, 0.8)),
        ):
            found = steps(optim.make(kind, RATE, **how), tree, GRADS)[0][-1]
            np.testing.assert_allclose(
                found["kernel"], by_hand(rule, 0, 0)[-1]["kernel"], rtol=1e-10, err_msg=kind
            )


@pytest.mark.slow
def test_adam_and_adamw_differ_by_where_the_decay_goes() -> None:
    """Where the gradient is 0 adamw shrinks a weight by rate * decay; adam sees decay * p alone,
    whatever its size: a whole step.
    """
    with jax.enable_x64(True):
        params, none = {"kernel": jnp.full((2, 2), 3.0)}, {"kernel": jnp.zeros((2, 2))}
        coupled, decoupled = (
            steps(optim.make(k, RATE, weight_decay=DECAY), params, [none])[0][0]["kernel"]
            for k in ("adam", "adamw")
        )
        np.testing.assert_allclose(decoupled, 3 * (1 - RATE * DECAY), rtol=1e-12)
        np.testing.assert_allclose(coupled, 3 - RATE, rtol=1e-6)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("kind", "how", "message"),
    [
        ("adam", {"b2": 1.0}, r"b2 1\.0 of adam is outside \[0, 1\)"),
        ("adamw", {"momentum": -0.1}, r"momentum -0\.1 of adamw is outside"),
        ("sgd", {"momentum": 1.0}, "momentum"),
        ("lion", {"ema": 1.0}, "ema"),
        ("muon", {"b2": float("nan")}, "b2 nan"),
        ("sgd", {"weight_decay": -1.0}, r"weight_decay -1\.0 of sgd: it must be at least 0"),
        ("sgd", {"clip_norm": -1.0}, "clip_norm"),
        ("sgd", {"clip_norm": float("inf")}, "clip_norm inf"),
        ("sgd", {"weight_decay": float("nan")}, "weight_decay nan"),
        (
            "adagrad",
            {},
            "'adagrad' is not an optimizer: choose one of sgd, adam, adamw, lion, muon",
        ),
    ],
)
def test_numbers_that_no_optimizer_takes_are_refused(
    kind: Any, how: dict[str, float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        optim.make(kind, RATE, **how)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw", "lion", "muon"])
def test_every_kind_goes_with_decay_clipping_and_average_and_learns(kind: Any) -> None:
    optimizer = optim.make(
        kind, optim.warmup_cosine(0.4, 40, 4), weight_decay=1e-4, clip_norm=1.0, ema=0.5
    )
    aim = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}

    def loss(p: Any) -> Any:
        pairs = zip(jax.tree.leaves(p), jax.tree.leaves(aim), strict=True)
        return sum(jnp.sum((a - b) ** 2) for a, b in pairs)

    params = start = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), PARAMS)
    opt = optimizer.init(params)

    @jax.jit
    def step(params: Any, opt: Any) -> Any:
        updates, opt = optimizer.update(jax.grad(loss)(params), opt, params)
        return optax.apply_updates(params, updates), opt

    for _ in range(40):
        params, opt = step(params, opt)
    assert float(loss(params)) < 0.2 * float(loss(start))
    assert float(loss(optim.average(opt))) < 0.3 * float(loss(start))


def test_the_average_follows_its_recurrence() -> None:
    with jax.enable_x64(True):
        tree = jax.tree.map(jnp.asarray, PARAMS)
        history, opt = steps(optim.make("adamw", RATE, weight_decay=DECAY, ema=0.7), tree, GRADS)
        plain, _ = steps(optim.make("adamw", RATE, weight_decay=DECAY), tree, GRADS)
        for name in PARAMS:
            expected = 0.7 * (
                0.7 * PARAMS[name] + 0.3 * np.asarray(history[0][name])
            ) + 0.3 * np.asarray(history[1][name])
            np.testing.assert_allclose(optim.average(opt)[name], expected, rtol=1e-12)
            # the average changes nothing of the training
            np.testing.assert_array_equal(history[1][name], plain[1][name])
    with pytest.raises(ValueError, match="keeps no average: make it with ema > 0"):
        optim.average(optim.make("sgd", RATE).init({"w": jnp.zeros(2)}))


def test_schedules_at_their_corners() -> None:
    cosine = optim.warmup_cosine(2.0, 100, warmup=20, end=0.5)
    for step, rate in (
        (0, 0),
        (10, 1),
        (20, 2),
        (60, 1.25),
        (100, 0.5),
        (200, 0.5),
        (40, 0.5 + 1.5 * (1 + np.cos(np.pi / 4)) / 2),
    ):
        assert float(cosine(step)) == pytest.approx(rate, rel=1e-6, abs=1e-9), step
    assert float(optim.warmup_cosine(2.0, 100)(0)) == 2
    linear = optim.warmup_linear(2.0, 100, warmup=20)
    for step, rate in ((0, 0), (10, 1), (20, 2), (60, 1), (100, 0), (200, 0)):
        assert float(linear(step)) == pytest.approx(rate, abs=1e-6), step
    assert float(optim.warmup_linear(2.0, 100)(0)) == 2
    assert float(optim.warmup_linear(2.0, 100)(50)) == pytest.approx(1)
    for schedule in (optim.warmup_cosine, optim.warmup_linear):
        with pytest.raises(ValueError, match="warmup of 10 steps leaves nothing of 10 steps"):
            schedule(1.0, 10, 10)


def test_the_optimizer_reads_its_schedule_from_step_0() -> None:
    history, _ = steps(
        optim.make("sgd", optim.warmup_linear(1.0, 10, 2), momentum=0.0),
        jnp.zeros(()),
        [jnp.ones(())] * 4,
    )
    np.testing.assert_allclose(np.diff([0, *map(float, history)]), [0, -0.5, -1, -0.875], rtol=1e-6)


def test_a_short_run_warms_up_for_a_fifth_of_it_and_a_long_one_as_requested() -> None:
    assert [optim.short_warmup(100, steps) for steps in (50, 499, 500, 1200, 4)] == [
        10,
        99,
        100,
        100,
        0,
    ]


def test_gradient_descent_without_momentum_keeps_nothing_of_the_parameters() -> None:
    opt = optim.make("sgd", 0.1, momentum=0.0)
    assert all(leaf.ndim == 0 for leaf in jax.tree.leaves(opt.init({"w": jnp.zeros((2, 3))})))
