"""A model gives the bits of its module applied by hand; keywords, precision, augmentation."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array

from dlcore.errors import UsageError
from dlcore.models.apply import apply
from dlcore.models.mlp import MLP
from dlcore.train.model import Model, augment_batch, init_of
from dlcore.train.precision import Precision, with_precision
from dlcore.train.step import Objective, Out, mean

KEY = jax.random.key(3)
BATCH = {
    "image": np.arange(24, dtype=np.uint8).reshape(4, 6),
    "target": np.linspace(0, 1, 4, dtype=np.float32) + 1e-4,
    "row": np.arange(4, dtype=np.int32),
    "mask": np.ones(4, np.float32),
}


class Plain(nn.Module):
    """Takes neither `train` nor `row`."""

    @nn.compact
    def __call__(self, x: Array, scale: Array | float = 1.0, shift: Array | float = 0.0) -> Array:
        return nn.Dense(2, name="dense")(x) * scale + shift

    def doubled(self, x: Array, train: bool = False) -> Array:
        return 2 * self(x) if train else self(x)


class Echo(nn.Module):
    """Returns its argument: shows what reached the network."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        self.param("weight", nn.initializers.ones, (1,), jnp.float32)
        return x


def scaled(batch: Any, key: Array | None, train: bool) -> Array:
    return batch["image"].astype(jnp.float32) / 255


def variables(model: Model) -> tuple[dict[str, Any], dict[str, Any]]:
    made = model.init(KEY, BATCH)
    return {model.name: made.pop("params")}, {model.name: made} if made else {}


@pytest.mark.slow
def test_initialisation_and_training_with_dropout_and_batch_norm_have_the_bits_of_apply() -> None:
    net = MLP((5,), classes=3, dropout=0.5, norm="batch")
    model = Model("net", net, scaled)
    params, extra = variables(model)
    by_hand = net.init(KEY, BATCH["image"].astype(jnp.float32) / 255)
    jax.tree.map(np.testing.assert_array_equal, params["net"], by_hand["params"])
    jax.tree.map(np.testing.assert_array_equal, extra["net"]["batch_stats"], by_hand["batch_stats"])
    for train in (True, False):
        x = scaled(BATCH, None, train)
        expected = apply(net, "net", params, extra, x, key=KEY, train=train, row=BATCH["row"])
        found = model(params, extra, BATCH, KEY, train)
        jax.tree.map(np.testing.assert_array_equal, found, expected)
    trained = model(params, extra, BATCH, KEY, True)[1]["net"]["batch_stats"]
    assert any(
        jax.tree.leaves(
            jax.tree.map(lambda a, b: bool((a != b).any()), trained, extra["net"]["batch_stats"])
        )
    )


@pytest.mark.slow
def test_inputs_get_the_same_key_as_the_loss_and_none_at_initialisation() -> None:
    seen = []

    def inputs(batch: Any, key: Array | None, train: bool) -> Array:
        seen.append((key, train))
        return scaled(batch, key, train)

    model = Model("net", Plain(), inputs)
    params, extra = variables(model)
    model(params, extra, BATCH, KEY, True)
    assert seen[0] == (None, False)
    assert seen[1][0] is KEY
    assert seen[1][1] is True


class Pair(NamedTuple):
    a: Any
    b: Any


def test_tuples_are_arguments_a_dict_behind_them_keywords_and_a_namedtuple_one_argument() -> None:
    x = scaled(BATCH, None, False)
    forms = {1.0: lambda *_: x, 2.0: lambda *_: (x, 2.0), 3.0: lambda *_: ((x,), {"scale": 3.0})}
    first, *others = (Model("net", Plain(), form) for form in forms.values())
    params, extra = variables(first)
    y = first(params, extra, BATCH, None, False)[0]
    for factor, model in zip(list(forms)[1:], others, strict=True):
        np.testing.assert_array_equal(model(params, extra, BATCH, None, False)[0], y * factor)
    pair = Pair(x, {"k": x})
    found = Model("net", Echo(), lambda *_: pair)(
        {"net": {"weight": jnp.ones(1)}}, {}, BATCH, None, False
    )[0]
    assert isinstance(found, Pair)


@pytest.mark.slow
def test_train_and_row_reach_only_methods_that_take_them() -> None:
    model = Model("net", Plain(), scaled, output=lambda y, batch: y[:, 0] + batch["row"])
    params, extra = variables(model)
    x = scaled(BATCH, None, False)
    y = model.on(params, extra, x)
    found, after = model(params, extra, BATCH, KEY, True)
    np.testing.assert_array_equal(found, y[:, 0] + BATCH["row"])
    assert after == {}
    np.testing.assert_array_equal(
        model.apply(params, extra, x, train=True, method=Plain.doubled)[0], 2 * y
    )
    np.testing.assert_array_equal(model.on(params, extra, x, method="doubled"), y)
    np.testing.assert_array_equal(model.on(params, extra, x, shift=1.0), y + 1)


def test_arguments_are_rounded_exactly_when_the_parameters_are_bfloat16() -> None:
    seen: dict[str, Any] = {}

    def inputs(batch: Any, key: Array | None, train: bool) -> Any:
        return {
            "x": batch["target"],
            "row": batch["row"],
            "half": batch["target"].astype(jnp.float16),
        }

    model = Model("net", Echo(), inputs)

    def loss(params: Any, extra: Any, batch: Any, key: Array, train: bool) -> Out:
        seen["inside"], seen["target"] = model(params, extra, batch, key, train)[0], batch["target"]
        return Out(mean(seen["inside"]["x"], batch["mask"]), {}, extra)

    objectives = {"net": Objective(loss, optax.sgd(0.1))}
    params = {"net": {"weight": jnp.ones(1)}, "other": {"weight": jnp.ones(1, jnp.bfloat16)}}
    modes: tuple[tuple[Precision, Any], ...] = (("f32", jnp.float32), ("bf16", jnp.bfloat16))
    for precision, dtype in modes:
        with_precision(objectives, precision)["net"].loss(params, {}, BATCH, KEY, True)
        assert seen["inside"]["x"].dtype == dtype
        np.testing.assert_array_equal(seen["inside"]["x"], BATCH["target"].astype(dtype))
        assert seen["inside"]["row"].dtype == np.int32
        assert seen["inside"]["half"].dtype == jnp.float16
        assert seen["target"].dtype == np.float32


def test_every_objective_sees_the_changed_batch_in_training_alone() -> None:
    def change(batch: Any, key: Array) -> Any:
        return {**batch, "target": batch["target"] + jax.random.normal(key)}

    def loss(params: Any, extra: Any, batch: Any, key: Array, train: bool) -> Out:
        return Out(mean(batch["target"], batch["mask"]), {}, extra)

    changed = augment_batch(
        {name: Objective(loss, optax.sgd(0.1), every=2) for name in "ab"}, change
    )
    drawn, kept = float(jax.random.normal(KEY)), float(BATCH["target"].mean())
    for objective in changed.values():
        assert objective.every == 2
        for train, expected in ((True, kept + drawn), (False, kept)):
            total = float(objective.loss({}, {}, BATCH, KEY, train).loss.total)
            assert total / 4 == pytest.approx(expected, rel=1e-5)


def test_two_models_of_one_name_are_refused_and_a_model_can_be_a_key() -> None:
    model = Model("net", Plain(), scaled)
    with pytest.raises(UsageError, match="two models have the name 'net'"):
        init_of([model, Model("net", Plain(), scaled)])
    assert {model: 1}[model] == 1
    made = init_of([model])["net"](KEY, BATCH)
    jax.tree.map(np.testing.assert_array_equal, made, model.init(KEY, BATCH))


class Two(nn.Module):
    """Returns its two arguments."""

    @nn.compact
    def __call__(self, x: Array, y: Array) -> tuple[Array, Array]:
        self.param("weight", nn.initializers.ones, (1,), jnp.float32)
        return x, y


def test_an_argument_that_is_declared_so_is_never_rounded() -> None:
    model = Model("net", Two(), lambda batch, *_: (batch["target"],) * 2, unrounded=(1,))
    rounded = {"net": {"weight": jnp.ones(1, jnp.bfloat16)}}
    for x, y in (
        model(rounded, {}, BATCH, KEY, True)[0],
        model.on(rounded, {}, BATCH["target"], BATCH["target"]),
    ):
        assert x.dtype == jnp.bfloat16
        np.testing.assert_array_equal(y, BATCH["target"])
