"""Diagnosis: norms worked by hand, networks with and without a fault, and their diagnoses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore import sharding
from dlcore.analysis.diagnose import Diagnosis, diagnose
from dlcore.analysis.diagnosis_summary import HEALTHY, Row, describe, read, write
from dlcore.kernels import random
from dlcore.kernels.activations import named
from dlcore.models.apply import apply
from dlcore.models.mlp import MLP
from dlcore.tasks import classification
from dlcore.train.step import Mean, Objective, Out, State, mean


def state_of(objectives: dict[str, Objective], params: dict[str, Any]) -> State:
    return State(
        jnp.zeros((), jnp.int32),
        params,
        {},
        {n: o.optimizer.init(params[n]) for n, o in objectives.items()},
    )


@pytest.mark.slow
def test_norms_ratios_and_dead_units_worked_by_hand() -> None:
    """Loss mean of (x w) c / 2 with x = (1, 2) and c = (3, 0): the gradient of w is x c^T / 2, the
    second unit gets nothing.
    """

    def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
        y = (batch["x"] @ params["net"]["kernel"] + params["net"]["bias"][None]) * jnp.array(
            [[3.0, 0.0]]
        )
        return Out(mean(y), {}, extra)

    objectives = {"net": Objective(loss, optax.sgd(0.1))}
    params = {"net": {"kernel": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "bias": jnp.array([0.0, 0.0])}}
    found = diagnose(
        objectives, state_of(objectives, params), {"x": jnp.array([[1.0, 2.0]])}, seed=0
    )
    bias, kernel = found["net"]
    assert kernel.name == "kernel"
    assert kernel.grad == pytest.approx(1.5 * math.sqrt(5))
    assert kernel.weight == pytest.approx(5)
    assert kernel.update == pytest.approx(0.15 * math.sqrt(5))
    assert kernel.ratio == pytest.approx(0.03 * math.sqrt(5))
    assert (kernel.units, kernel.dead) == (2, 1)
    assert bias.grad == pytest.approx(1.5)
    assert (bias.weight, bias.units, bias.dead) == (0, 0, 0)
    assert math.isnan(bias.ratio)
    assert describe(found["net"]) == "50 % of the units of kernel are dead."


def network(
    activation: Any, widths: tuple[int, ...], rate: float = 1e-3, bias: float = 0.0
) -> list[Row]:
    """The rows of a classifier of noise at its beginning; `bias` shifts the units of its first
    layer.
    """
    net = MLP(widths, classes=4, activation=named(activation))
    numbers = np.random.default_rng(0)
    batch = {
        "x": jnp.asarray(numbers.standard_normal((32, 8)), jnp.float32),
        "label": jnp.asarray(numbers.integers(0, 4, 32)),
        "mask": jnp.ones(32),
        "row": jnp.arange(32),
    }

    def logits(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        return apply(net, "net", params, extra, batch["x"])

    params = jax.tree.map(lambda x: x, net.init(jax.random.key(0), batch["x"])["params"])
    params["Dense_0"]["bias"] = params["Dense_0"]["bias"] + bias
    objectives = {"net": Objective(classification.loss(logits), optax.sgd(rate))}
    return diagnose(objectives, state_of(objectives, {"net": params}), batch, seed=0)["net"]


@pytest.mark.slow
def test_a_deep_sigmoid_network_vanishes_and_a_healthy_relu_network_does_not() -> None:
    rows = network("sigmoid", (16,) * 11)
    assert [row.name for row in rows if row.units][-2:] == ["Dense_10/kernel", "Dense_11/kernel"]
    summary = describe(rows)
    assert summary.startswith("Gradients vanish from Dense_")
    assert "down: that of Dense_0/kernel is " in summary
    assert describe(network("relu", (64,) * 4)) == HEALTHY
    assert describe(network("sigmoid", (16,))) == HEALTHY


@pytest.mark.slow
def test_dead_relus_are_found_and_counted() -> None:
    assert describe(network("relu", (16, 16), bias=-100.0)).startswith(
        "100 % of the units of Dense_0/kernel, Dense_1/kernel"
    )
    assert describe(network("leaky_relu", (16, 16), bias=-100.0)) == HEALTHY


@pytest.mark.slow
def test_a_rate_that_is_too_high_is_reported() -> None:
    assert "Update-to-weight ratio of Dense_" in describe(network("tanh", (16,), rate=10.0))
    assert describe(network("tanh", (16,), rate=10.0)).endswith("the rate is too high.")


def kernel(name: str, grad: float, weight: float = 1.0, update: float = 1e-3, dead: int = 0) -> Row:
    return Row(name, grad, weight, update, 10, dead)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([kernel("L_0", 1.0), kernel("L_1", 1e-2), kernel("L_2", 1e-2)], HEALTHY),
        (
            [kernel("L_0", 1e-8), kernel("L_1", 1e-5), kernel("L_2", 1.0)],
            "Gradients vanish from L_1 down: that of L_0 is 1e-08",
        ),
        (
            [kernel("L_0", 0.5), kernel("L_1", 1.0), kernel("L_2", 1e-4)],
            "Gradients explode: that of L_0 is 5,000 times that of L_2.",
        ),
        (
            [kernel("a", 3e4), kernel("b", 1.0)],
            "Gradients explode: that of a is 30,000 times the size of its weights.",
        ),
        ([kernel("a", math.inf), kernel("b", math.nan)], "Gradients are not finite: a, b."),
        ([kernel("a", 1.0, update=math.nan), kernel("b", 1.0)], "Updates are not finite: a."),
        ([kernel("a", 1.0, dead=2)], HEALTHY),  # a fifth may happen
        ([kernel("a", 1.0, dead=3)], "30 % of the units of a are dead."),
        (
            [kernel("a", 1.0, update=0.3)],
            "Update-to-weight ratio of a is 0.3: the rate is too high.",
        ),
        ([kernel("a", 1.0, weight=0.0)], HEALTHY),  # begins at zero
        ([Row("bias", 1e9, 1e-9, 1.0, 0, 0)], HEALTHY),  # no kernel
        ([], HEALTHY),
    ],
)
def test_descriptions(rows: list[Row], words: str) -> None:
    assert describe(rows).startswith(words)


@pytest.mark.quick
def test_what_is_written_is_read_and_damage_is_counted(tmp_path: Path) -> None:
    rows = [
        Row("a/kernel", 0.123456789, 2.0, math.nan, 3, 1),
        Row("a/bias", math.inf, 0.0, 0.0, 0, 0),
    ]
    write(tmp_path, 10, {"net": rows, "other": rows[:1]})
    write(tmp_path, 20, {"net": rows[:1]})
    path = tmp_path / "diagnostics.jsonl"
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    bad = [
        '{"step": 1}',
        "[]",
        '{"step": "x", "objective": "net", "tensors": []}',
        "{",
        '{"step": 3, "objective": "net", "tensors": [5]}',
    ]
    path.write_text(path.read_text() + "\n".join(bad) + '\n{"step": 30, "obj')
    found, damaged = read(path)
    assert damaged == len(bad)
    assert {name: list(steps) for name, steps in found.items()} == {"net": [10, 20], "other": [10]}
    assert found["net"][10][0].grad == 0.123457
    assert math.isnan(found["net"][10][1].grad)
    assert found["net"][10][0][4:] == (3, 1)
    assert read(tmp_path / "nothing.jsonl") == ({}, 0)


@pytest.mark.slow
def test_two_objectives_on_eight_devices_are_diagnosed_as_on_one() -> None:
    """Sharded rows, a sharded state, microbatches: the numbers are those of one device, and the
    state is what it was.
    """

    def drawn(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
        noise = random.normal(key, batch["row"], (8,))
        return Out(
            mean(
                jnp.tanh(noise @ params["gen"]["kernel"]) @ params["disc"]["kernel"], batch["mask"]
            ),
            {},
            extra,
        )

    def judged(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
        true = mean((batch["x"] @ params["disc"]["kernel"]) ** 2, batch["mask"])
        return Out(
            Mean(true.total - drawn(params, extra, batch, key, train).loss.total, true.weight),
            {},
            extra,
        )

    objectives = {
        "disc": Objective(judged, optax.adam(0.1)),
        "gen": Objective(drawn, optax.sgd(0.1)),
    }
    numbers = np.random.default_rng(0)
    kernels = {"disc": numbers.standard_normal((8, 4)), "gen": numbers.standard_normal((8, 8))}
    rows = {
        "x": numbers.standard_normal((32, 8)).astype(np.float32),
        "mask": (np.arange(32) < 27).astype(np.float32),
    }
    found = []
    for devices, mesh, microbatches in ((1, "", 1), (8, "data=2,fsdp=4", 2)):
        layout = sharding.layout("jit", mesh, devices=jax.devices()[:devices])
        batch = layout.put({**rows, "row": np.arange(32, dtype=np.int32)}, 32)
        plain = state_of(
            objectives,
            {name: {"kernel": jnp.asarray(x, jnp.float32)} for name, x in kernels.items()},
        )
        state = jax.device_put(plain, sharding.sharding(layout, plain))
        found.append(Diagnosis(objectives, layout, 0, microbatches)(state, batch))
        assert all(
            np.array_equal(a, b)
            for a, b in zip(*map(jax.tree.leaves, (plain, jax.device_get(state))), strict=True)
        )
    one, eight = found
    assert list(one) == list(eight) == ["disc", "gen"]
    for name in one:
        np.testing.assert_allclose(eight[name][0][1:], one[name][0][1:], rtol=1e-5)
        assert eight[name][0].grad > 0
