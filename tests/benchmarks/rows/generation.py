"""A text of 256 characters by the GPT of nanoGPT's CPU recipe, likeliest first: dlcore with a
cache, the others as nanoGPT, without.

PyTorch may take any length and is given what there is; a compiled Flax wants one shape, and is
given the whole context each time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.benchmarks.rows import gpt

LIMITS = {"torch": 1 / 3, "flax": 1 / 3}
CPU_DEVICES = 1
FULL, TINY = gpt.Size(context=256, batch=1), gpt.Size(2, 2, 8, 6, 7, 1)


def weights(size: gpt.Size) -> dict[str, Any]:
    """Those of the row `gpt`, with what a token and its place say made louder, so that rounding
    chooses no other letter.
    """
    params = gpt.given(size)[0]
    return params | {
        "embed": {"embedding": 20 * params["embed"]["embedding"]},
        "positions": 60 * params["positions"],
    }


def dlcore(size: gpt.Size) -> Any:
    """`models.gpt_generation.generate`."""
    import jax
    import jax.numpy as jnp

    from dlcore.models.gpt import Size
    from dlcore.models.gpt_generation import generate

    shape = Size(size.vocabulary, size.context, size.layers, size.heads, size.width)
    params, key = jax.tree.map(jnp.asarray, weights(size)), jax.random.key(0)
    prompt = jnp.zeros((1, 1), jnp.int32)
    return lambda: checksum(np.asarray(generate(shape, params, prompt, key, size.context - 1, 0.0)))


def flax(size: gpt.Size) -> Any:
    """One compiled forward pass of the whole context a token, and the loop over tokens compiled
    too.
    """
    import jax
    import jax.numpy as jnp

    net, params = gpt.flax_net(size), jax.tree.map(jnp.asarray, weights(size))

    @jax.jit
    def generate(params: Any, text: Any) -> Any:
        def one(i: Any, text: Any) -> Any:
            return text.at[0, i + 1].set(net.apply({"params": params}, text)[0, i].argmax())

        return jax.lax.fori_loop(0, size.context - 1, one, text)

    empty = jnp.zeros((1, size.context), jnp.int32)
    return lambda: checksum(np.asarray(generate(params, empty)))


def torch(size: gpt.Size) -> Any:
    """nanoGPT's `generate`, eager."""
    import torch as pt

    from tests.benchmarks import torched

    net, params = gpt.torch_net(size).eval(), weights(size)
    torched.fill(net.embed.weight, params["embed"]["embedding"])
    torched.fill(net.positions, params["positions"])
    net = torched.compiled(net)

    def generate() -> float:
        text = pt.zeros((1, 1), dtype=pt.int64)
        with pt.no_grad():
            for _ in range(size.context - 1):
                text = pt.cat([text, net(text)[:, -1].argmax(-1, keepdim=True)], 1)
        return checksum(text.numpy())

    return generate


def checksum(text: np.ndarray) -> float:
    """A number that another text would hardly have."""
    return float((text[0] * np.sqrt(np.arange(1, text.shape[1] + 1))).sum())
