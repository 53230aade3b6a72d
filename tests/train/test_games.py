"""The games of gan_mnist that its smallest configuration does not play: whatever the devices and
microbatches, the same.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from dlcore import sharding
from dlcore.data.stream import Stream
from dlcore.train.init import initial
from dlcore.train.step import train_step, value
from tests.child import built
from tests.train.test_compile_ways import Way, _quick_to_compile, check  # noqa: F401

pytestmark = pytest.mark.slow

GAMES = {
    "penalty": {"loss": "wasserstein", "critic_updates": 2},
    "hinge": {"loss": "hinge", "spectral": True, "conditional": False},
}


@pytest.mark.nightly
@pytest.mark.parametrize("way", [Way("jit", 2, 4), Way("shard_map", 4, 1)], ids=str)
@pytest.mark.parametrize("kind", GAMES)
def test_same_parameters_for_every_loss_kind(kind: str, way: Way) -> None:
    with jax.enable_x64(True):
        check("gan_mnist", way, precise=True, **GAMES[kind])


def played(steps: int, **changes: Any) -> tuple[list[Any], list[dict[str, float]]]:
    """The states after each step of a GAN's training, and the metrics."""
    gan = built("gan_mnist", **changes)
    layout = sharding.layout("jit", "", devices=jax.devices()[:1])
    stream = Stream(gan.train, gan.batch, 0, layout.local_rows(gan.batch))
    batches = [layout.put(stream.at(step), gan.batch) for step in range(steps)]
    state = initial(gan, 0, layout, batches[0])[1]()
    run, states, metrics = (
        jax.jit(lambda state, batch: train_step(gan.trained, state, batch, seed=0)),
        [state],
        [],
    )
    for batch in batches:
        state, report = run(state, batch)
        states.append(state)
        metrics.append({name: float(value(m)) for name, m in report.items()})
    return states, metrics


def test_the_generator_rests_while_its_critic_takes_turns() -> None:
    states, metrics = played(4, loss="wasserstein", critic_updates=2)
    moved = {
        name: [
            any(
                (np.asarray(a) != np.asarray(b)).any()
                for a, b in zip(*map(jax.tree.leaves, pair), strict=True)
            )
            for pair in zip(
                [s.params[name] for s in states], [s.params[name] for s in states[1:]], strict=False
            )
        ]
        for name in ("disc", "gen")
    }
    assert moved == {"disc": [True] * 4, "gen": [False, True, False, True]}
    assert np.isnan(metrics[0]["gen/loss"])
    assert np.isfinite(metrics[1]["gen/loss"])
    assert all(np.isfinite(line["disc/penalty"]) for line in metrics)
