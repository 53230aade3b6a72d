"""A text of 256 characters, decoded greedily, by the GPT of nanoGPT's CPU recipe.

dlcore has a cache of keys and values, the others have none, as nanoGPT. PyTorch's forward pass gets
the tokens so far; that of compiled Flax needs one shape, and gets the whole context each time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.benchmarks.rows import gpt

LIMITS = {"torch": 1 / 3, "flax": 1 / 3}
CPU_DEVICES = 1
FULL, TINY = gpt.Size(context=256, batch=1), gpt.Size(2, 2, 8, 6, 7, 1)


def weights(size: gpt.Size) -> dict[str, Any]:
    """Returns the weights of the row `gpt`, with larger embeddings of tokens and positions.

    Logits then differ by more than rounding, so that all contenders choose the same characters.
    """
    params = gpt.given(size)[0]
    return params | {
        "embed": {"embedding": 20 * params["embed"]["embedding"]},
        "positions": 60 * params["positions"],
    }


def dlcore(size: gpt.Size) -> Any:
    """Returns the step with `models.gpt_generation.generate`."""
    import jax
    import jax.numpy as jnp

    from dlcore.models.gpt import Size
    from dlcore.models.gpt_generation import generate

    shape = Size(size.vocabulary, size.context, size.layers, size.heads, size.width)
    params, key = jax.tree.map(jnp.asarray, weights(size)), jax.random.key(0)
    prompt = jnp.zeros((1, 1), jnp.int32)
    return lambda: checksum(np.asarray(generate(shape, params, prompt, key, size.context - 1, 0.0)))


def flax(size: gpt.Size) -> Any:
    """Returns the step with one forward pass of the whole context for each token.

    The loop over tokens is compiled too.
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
    """Returns the step with nanoGPT's `generate`, eager."""
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
    """Computes a checksum of a text, which differs for another text with high probability."""
    return float((text[0] * np.sqrt(np.arange(1, text.shape[1] + 1))).sum())
