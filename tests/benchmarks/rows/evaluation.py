"""Loss and accuracy of the row `lenet` on 1,000 images, without training."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.benchmarks.rows import lenet

LIMITS = {"torch": 1.0, "torch_channels_last": 1.0, "flax": 1.0}
FULL, TINY = lenet.Size(batch=1000), lenet.TINY


def dlcore(size: lenet.Size) -> Any:
    """Returns the step with `train.evaluate.LossEvaluation`, by which runs evaluate a batch."""
    import jax
    import jax.numpy as jnp

    from dlcore import sharding
    from dlcore.train.evaluate import LossEvaluation
    from dlcore.train.step import State
    from tests.benchmarks import ours

    layout, objective = sharding.layout("jit", ""), lenet.objective(size)
    _, x, label = lenet.given(size)
    run = LossEvaluation({"net": objective}, layout, size.batch, 0).run
    params = {"net": jax.tree.map(jnp.asarray, lenet.tree(size))}
    state = jax.device_put(State(jnp.zeros((), jnp.int32), params, {}, {}), layout.everywhere)
    batch = layout.put(ours.with_rows({"image": x, "label": label}), size.batch)

    return lambda: np.divide(*np.asarray(run(state, batch).values)[1])  # sorted: accuracy, loss


def flax(size: lenet.Size) -> Any:
    """Returns the step with one jitted function."""
    import jax
    import jax.numpy as jnp
    import optax

    net, params = lenet.flax_net(size), jax.tree.map(jnp.asarray, lenet.tree(size))
    x, label = map(jnp.asarray, lenet.given(size)[1:])

    @jax.jit
    def logged(params: Any, x: Any, label: Any) -> Any:
        y = net.apply({"params": params}, x)
        return (
            optax.softmax_cross_entropy_with_integer_labels(y, label).mean(),
            (y.argmax(-1) == label).mean(),
        )

    return lambda: logged(params, x, label)[0]


def torch(size: lenet.Size, channels_last: bool = False) -> Any:
    """Returns the step without gradients, eager."""
    import torch as pt
    from torch.nn import functional as f

    from tests.benchmarks import torched

    net, pixels, target = lenet.torch_parts(size, channels_last)
    net = torched.compiled(net)

    def step() -> Any:
        with pt.no_grad():
            y = net(pixels)
            return f.cross_entropy(y, target), (y.argmax(-1) == target).float().mean()

    return lambda: step()[0]


def torch_channels_last(size: lenet.Size) -> Any:
    """Returns the step of `torch` in PyTorch's memory format channels_last."""
    return torch(size, channels_last=True)
