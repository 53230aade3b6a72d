"""Recipes against the optimizers that they stand for, schedules against values by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from dlcore import bounds
from dlcore.errors import UsageError
from dlcore.train import optim
from dlcore.train.recipe import Kind, Recipe, layerwise

RANDOM = np.random.default_rng(0)
PARAMS = {
    "dense": {"kernel": RANDOM.standard_normal((3, 2)).astype(np.float32)},
    "bias": RANDOM.standard_normal(2).astype(np.float32),
}
GRADS = [
    jax.tree.map(lambda p: RANDOM.standard_normal(p.shape).astype(np.float32), PARAMS)
    for _ in range(4)
]
FLAT = Recipe(lr=0.1, schedule="constant", warmup=0)


def trained(optimizer: optax.GradientTransformation) -> tuple[list[Any], Any]:
    """The parameters after each update, and the last state."""
    params = jax.tree.map(jnp.asarray, PARAMS)
    opt, found = optimizer.init(params), []
    for grads in GRADS:
        updates, opt = optimizer.update(jax.tree.map(jnp.asarray, grads), opt, params)
        params = optax.apply_updates(params, updates)
        found.append(params)
    return found, opt


def same(found: Any, expected: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def close(found: Any, expected: Any) -> None:
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7), found, expected
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw", "lion", "muon"])
@pytest.mark.parametrize(
    ("recipe", "rate", "how", "ema"),
    [
        (
            Recipe(lr=0.004, end=0.1, weight_decay=0.1, clip_norm=1.0, b2=0.99, warmup=60),
            lambda steps: optim.warmup_cosine(
                0.004, steps, optim.short_warmup(60, steps), end=0.004 / 10
            ),
            {"weight_decay": 0.1, "clip_norm": 1.0, "b2": 0.99},
            0.0,
        ),
        (
            Recipe(lr=0.1, schedule="linear", warmup=0.2, weight_decay=5e-3),
            lambda steps: optim.warmup_linear(0.1, steps, steps // 5),
            {"weight_decay": 5e-3},
            0.9,
        ),
        (
            Recipe(lr=4e-4, schedule="constant", warmup=0, b1=0.5),
            lambda _: 4e-4,
            {"momentum": 0.5},
            0.9,
        ),
    ],
)
def test_what_optim_makes_has_the_same_bits(
    kind: Kind, recipe: Recipe, rate: Any, how: dict[str, float], ema: float
) -> None:
    expected, old = trained(optim.make(kind, rate(10), **how, ema=ema))  # type: ignore[arg-type]
    found, new = trained(dataclasses.replace(recipe, optimizer=kind)(10, ema))
    same(found, expected)
    same(new, old)  # the same structure too: checkpoints fit


@pytest.mark.quick
def test_schedules_of_the_experiments_are_the_same_numbers() -> None:
    for lr, end, divisor in ((4e-3, 0.1, 10), (6e-4, 0.1, 10), (5e-2, 0.01, 100), (0.01, 0.1, 10)):
        found = Recipe(lr=lr, end=end, warmup=100).rate(1200)
        expected = optim.warmup_cosine(lr, 1200, 100, end=lr / divisor)
        at = jnp.arange(1201)
        np.testing.assert_array_equal(found(at), expected(at))
    for fraction, divisor in ((0.05, 20), (0.02, 50), (0.1, 10), (0.2, 5)):
        recipe = Recipe(warmup=fraction)
        assert all(recipe.warmup_steps(n) == n // divisor for n in range(1, 5000))


@pytest.mark.quick
@pytest.mark.parametrize(
    ("recipe", "steps", "values"),
    [
        (
            Recipe(lr=2.0, schedule="constant", warmup=0.4),
            10,
            {0: 0, 1: 0.5, 2: 1, 4: 2, 9: 2},
        ),
        (
            Recipe(lr=2.0, schedule="linear", warmup=0.2, end=0.5),
            10,
            {0: 0, 1: 1, 2: 2, 6: 1.5, 10: 1},
        ),
        (
            Recipe(lr=2.0, schedule="cosine", warmup=0, end=0.5),
            8,
            {0: 2, 2: 1.5 + 0.5 * 2**-0.5, 4: 1.5, 8: 1, 9: 1},
        ),
        (
            Recipe(lr=2.0, schedule="step", warmup=0.1, drops=(0.3, 0.6)),
            10,
            {0: 0, 1: 2, 2: 2, 3: 0.2, 5: 0.2, 6: 0.02, 10: 0.02},
        ),
        (
            Recipe(lr=2.0, schedule="inverse_sqrt", warmup=4),
            100,
            {0: 0, 2: 1, 4: 2, 16: 1, 64: 0.5},
        ),
        (
            Recipe(lr=2.0, schedule="wsd", warmup=0.2, decay_fraction=0.4),
            10,
            {1: 1, 2: 2, 6: 2, 8: 1, 9: 0.5, 10: 0},
        ),
        (
            Recipe(lr=2.0, schedule="restarts", warmup=0, cycles=2, cycle_growth=2),
            12,
            {0: 2, 2: 1, 3: 1 - 2**-0.5, 4: 2, 8: 1, 10: 1 - 2**-0.5, 12: 0},
        ),
    ],
)
def test_schedules_by_hand(recipe: Recipe, steps: int, values: dict[int, float]) -> None:
    rate = recipe.rate(steps)
    for step, expected in values.items():
        assert float(rate(step)) == pytest.approx(expected, abs=1e-6), step


@pytest.mark.quick
def test_a_warmup_in_steps_is_at_most_a_fifth_and_one_in_fractions_may_be_more() -> None:
    steps = ((100, 1000, 100), (100, 50, 10), (1, 10, 1), (2, 6, 1), (0.5, 10, 5), (0, 9, 0))
    for warmup, total, expected in steps:
        assert Recipe(warmup=warmup).warmup_steps(total) == expected


@pytest.mark.slow
def test_the_others_are_optax_own() -> None:
    for recipe, expected in (
        ({"optimizer": "sgd", "nesterov": False, "b1": 0.8}, optax.sgd(0.1, 0.8)),
        ({"optimizer": "rmsprop", "b2": 0.8}, optax.rmsprop(0.1, 0.8)),
        ({"optimizer": "rmsprop", "b1": 0.7}, optax.rmsprop(0.1, momentum=0.7)),
        ({"optimizer": "adafactor"}, optax.adafactor(0.1)),
        ({"optimizer": "adafactor", "b1": 0.9}, optax.adafactor(0.1, momentum=0.9)),
        (
            {"optimizer": "lamb", "weight_decay": 0.1},
            optax.lamb(0.1, weight_decay=0.1, mask=optim.matrices),
        ),
    ):
        found = dataclasses.replace(FLAT, **recipe)(10)  # type: ignore[arg-type]
        close(trained(found)[0], trained(expected)[0])


@pytest.mark.slow
def test_decay_of_rmsprop_is_beside_the_update_and_spares_vectors() -> None:
    plain, decayed = (
        trained(dataclasses.replace(FLAT, optimizer="rmsprop", weight_decay=w)(10))[0][0]
        for w in (0.0, 0.5)
    )
    pull = plain["dense"]["kernel"] - decayed["dense"]["kernel"]
    np.testing.assert_allclose(pull, 0.1 * 0.5 * PARAMS["dense"]["kernel"], rtol=1e-4)
    same(plain["bias"], decayed["bias"])


@pytest.mark.parametrize("nesterov", [False, True])
def test_coupled_decay_of_sgd_is_in_the_gradient_and_its_momentum(nesterov: bool) -> None:
    """As PyTorch's SGD has it, for matrices."""
    recipe = dataclasses.replace(
        FLAT, optimizer="sgd", nesterov=nesterov, weight_decay=0.5, decay_coupling="coupled"
    )
    found = trained(recipe(10))[0]
    kernel, bias = PARAMS["dense"]["kernel"], PARAMS["bias"]
    for decay, p, path in ((0.5, kernel, ("dense", "kernel")), (0.0, bias, ("bias",))):
        trace = np.zeros_like(p)
        for grads, params in zip(GRADS, found, strict=True):
            g, each = grads, params
            for name in path:
                g, each = g[name], each[name]
            g = g + decay * p
            trace = 0.9 * trace + g
            p = p - 0.1 * (g + 0.9 * trace if nesterov else trace)
            np.testing.assert_allclose(each, p, rtol=1e-4, atol=1e-6)


def test_adamw_with_coupled_decay_is_adam_and_adam_with_decoupled_decay_is_adamw() -> None:
    def found(**fields: Any) -> Any:
        return trained(dataclasses.replace(FLAT, weight_decay=0.5, **fields)(10))[0]

    same(found(optimizer="adamw", decay_coupling="coupled"), found(optimizer="adam"))
    same(found(optimizer="adam", decay_coupling="decoupled"), found(optimizer="adamw"))
    same(found(optimizer="rmsprop"), found(optimizer="rmsprop", decay_coupling="decoupled"))


@pytest.mark.slow
def test_schedule_free_is_optax_own_and_its_average_is_found() -> None:
    recipe = dataclasses.replace(FLAT, optimizer="schedule_free_adamw", warmup=0.4)
    theirs = contrib.schedule_free_adamw(0.1, warmup_steps=4)
    (found, opt), (expected, state) = trained(recipe(10)), trained(theirs)
    close(found, expected)
    close(optim.average(opt), contrib.schedule_free_eval_params(state, expected[-1]))


@pytest.mark.slow
def test_layers_learn_at_rates_of_their_depth() -> None:
    one = jnp.ones((2, 2))
    tree = {
        "embed": {"kernel": one},
        "encoder": {"block_0": {"kernel": one}, "block_1": {"kernel": one}},
        "head": {"kernel": one},
    }
    optimizer = layerwise(0.5)
    found = optimizer.update(tree, optimizer.init(tree))[0]
    assert jax.tree.map(lambda x: float(x[0, 0]), found) == {
        "embed": {"kernel": 0.125},
        "encoder": {"block_0": {"kernel": 0.25}, "block_1": {"kernel": 0.5}},
        "head": {"kernel": 1.0},
    }
    stacked = {"blocks": {"kernel": one, "bias": jnp.ones((2,))}, "norm": one}
    found = optimizer.update(stacked, optimizer.init(stacked))[0]
    np.testing.assert_array_equal(found["blocks"]["kernel"], [[0.25, 0.25], [0.5, 0.5]])
    np.testing.assert_array_equal(found["blocks"]["bias"], [0.25, 0.5])
    with pytest.raises(UsageError, match="--layer-decay finds no layers"):
        trained(dataclasses.replace(FLAT, layer_decay=0.5)(10))
    stages = {"stage_1_block_0": {"kernel": one}}  # numbered anew in each stage: no depth
    with pytest.raises(UsageError, match="--layer-decay finds no layers"):
        optimizer.update(stages, optimizer.init(stages))


@pytest.mark.quick
@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe(lr=-1.0), "--lr -1.0 is too small"),
        (Recipe(lr=float("nan")), "--lr nan"),
        (Recipe(b2=1.0), "--b2 1.0 is too large"),
        (Recipe(end=1.5), "--end 1.5"),
        (Recipe(warmup=2.5), "--warmup 2.5 is neither"),
        (Recipe(layer_decay=0.0), "--layer-decay 0.0 is too small"),
        (Recipe(schedule="constant", end=0.1), "--end 0.1 does not apply to --schedule constant"),
        (Recipe(schedule="step", drops=(0.5, 0.2)), "--drops"),
        (Recipe(schedule="restarts", cycles=20), "--cycles 20 do not fit into 10 steps"),
        (Recipe("schedule_free_adamw"), "--schedule cosine: schedule_free_adamw"),
        (dataclasses.replace(FLAT, optimizer="schedule_free_adamw", b1=0.0), "--b1 0.0"),
    ],
)
def test_a_bad_number_is_refused_by_its_flag(recipe: Recipe, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        recipe(10)


@pytest.mark.quick
def test_nested_in_a_config_its_bounds_are_checked_and_averages_and_steps_too() -> None:
    @dataclasses.dataclass(frozen=True)
    class Config:
        optimizer: Recipe = dataclasses.field(default_factory=lambda: Recipe(clip_norm=-2.0))

    with pytest.raises(UsageError, match=r"--clip-norm -2\.0 is too small"):
        bounds.check(Config())
    names = {name for name, _, _ in bounds.numbers(Config())}
    assert {"lr", "clip_norm", "drops"} <= names
    with pytest.raises(UsageError, match="--ema 1"):
        Recipe()(10, ema=1.0)
    with pytest.raises(UsageError, match=r"--ema 0\.9: schedule_free_adamw keeps"):
        dataclasses.replace(FLAT, optimizer="schedule_free_adamw")(10, ema=0.9)
    with pytest.raises(UsageError, match="--steps 0"):
        Recipe()(0)
    assert Recipe()(1).init({"w": jnp.zeros(2)})
