"""GPT: a decoder-only Transformer (Radford et al. 2019), and text generation with a key/value cache."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.activations import gelu
from dlcore.kernels.attention import cached_attention, causal_attention, rotary
from dlcore.kernels.norm import layer_norm
from dlcore.models.layers import Dropout

# Column-parallel in, row-parallel out (Shoeybi et al. 2019): each pair needs one sum over `tensor`.
TENSOR = (
    (r"(qkv|up)/kernel", (None, "tensor")),
    (r"(out|down)/kernel", ("tensor", None)),
    (r"embed/embedding", ("tensor", None)),
)

Cache = tuple[tuple[Array, Array], ...]  # keys and values of each layer, [batch, heads, context, d]


@dataclasses.dataclass(frozen=True)
class Size:
    """The shape of a GPT."""

    vocabulary: int
    context: int
    layers: int
    heads: int
    width: int
    dropout: float = 0.0
    rotary: bool = False
    remat: bool = False

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")


class Norm(nn.Module):
    """Layer normalisation with a scale and no bias."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        return layer_norm(x, scale, jnp.zeros_like(scale))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); no biases."""

    size: Size

    @nn.compact
    def __call__(self, x: Array, row: Array | None, cache: tuple[Array, Array] | None, position: Array) -> tuple[Array, Any]:
        """x [batch, length, width] -> the same, and the cache with these tokens' keys and values in it (None if None)."""
        s, (batch, length, width) = self.size, x.shape
        dense = functools.partial(nn.Dense, use_bias=False, kernel_init=nn.initializers.normal(0.02))
        residual = nn.initializers.normal(0.02 / (2 * s.layers) ** 0.5)
        flat = x.reshape(batch * length, width)  # matrices, not batches of matrices: CPU runs them a fifth faster
        heads = dense(3 * width, name="qkv")(Norm(name="norm_attention")(flat)).reshape(batch, length, 3, s.heads, -1)
        q, k, v = (heads[:, :, i].swapaxes(1, 2) for i in range(3))
        if s.rotary:
            q, k = (rotary(t, position + jnp.arange(length)) for t in (q, k))
        if cache is None:
            seen = causal_attention(q, k, v)
        else:
            place = (0, 0, position, 0)
            cache = (jax.lax.dynamic_update_slice(cache[0], k, place), jax.lax.dynamic_update_slice(cache[1], v, place))
            seen = cached_attention(q, *cache, position)
        drop = Dropout(s.dropout, name="drop")
        told = dense(width, kernel_init=residual, name="out")(seen.swapaxes(1, 2).reshape(flat.shape))
        x = x + drop(told.reshape(x.shape), row)
        hidden = gelu(dense(4 * width, name="up")(Norm(name="norm_mlp")(x.reshape(flat.shape))))
        hidden = dense(width, kernel_init=residual, name="down")(hidden)
        return x + drop(hidden.reshape(x.shape), row), cache


class GPT(nn.Module):
    """Logits of the next token at every place; the output matrix is the token embedding (Press & Wolf 2017)."""

    size: Size

    @nn.compact
    def __call__(
        self,
        tokens: Array,
        *,
        train: bool = False,
        row: Array | None = None,
        cache: Cache | None = None,
        position: Array | int = 0,
    ) -> Any:
        """tokens [batch, length] -> logits [batch, length, vocabulary]; with a `cache`, (logits, cache), tokens at `position`."""
        s = self.size
        position, row = jnp.asarray(position), row if train else None
        embed = nn.Embed(s.vocabulary, s.width, embedding_init=nn.initializers.normal(0.02), name="embed")
        x = embed(tokens)
        if not s.rotary:
            places = self.param("positions", nn.initializers.normal(0.02), (s.context, s.width))
            x = x + jax.lax.dynamic_slice_in_dim(places, position, tokens.shape[1])[None]
        x = Dropout(s.dropout)(x, row)
        block = nn.remat(Block) if s.remat else Block
        after = []
        for layer in range(s.layers):
            x, kept = block(s, name=f"block_{layer}")(x, row, None if cache is None else cache[layer], position)
            after.append(kept)
        logits = embed.attend(Norm(name="norm")(x.reshape(-1, s.width))).reshape(*tokens.shape, s.vocabulary)
        return logits if cache is None else (logits, tuple(after))


def empty_cache(size: Size, batch: int, dtype: Any) -> Cache:
    """A cache with room for a whole context."""
    zeros = jnp.zeros((batch, size.heads, size.context, size.width // size.heads), dtype)
    return ((zeros, zeros),) * size.layers


def choose(key: Array, logits: Array, temperature: float, top_k: int) -> Array:
    """Draw from softmax(logits / temperature) over the `top_k` likeliest (0: all); the likeliest itself at temperature 0."""
    if temperature == 0:
        return logits.argmax(-1)
    if top_k:
        least = jax.lax.top_k(logits, min(top_k, logits.shape[-1]))[0][..., -1:]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    return jax.random.categorical(key, logits / temperature)


@functools.partial(jax.jit, static_argnums=(0, 4, 5, 6))
def generate(size: Size, params: Any, prompt: Array, key: Array, length: int, temperature: float = 0.8, top_k: int = 0) -> Array:
    """Continue prompt [batch, some] by `length` tokens, in one compiled loop with a cache: [batch, some + length].

    When the context is full, its second half becomes the prompt of the next stretch. Raises ValueError for a prompt that is empty
    or fills the context, and for a temperature below 0.
    """
    batch, given = prompt.shape
    half = max(1, size.context // 2)
    if not 0 < given < size.context or temperature < 0:
        raise ValueError(
            f"a prompt of 1 to {size.context - 1} tokens and a temperature of at least 0, not {given} and {temperature}"
        )
    net, dtype = GPT(size), jax.tree.leaves(params)[0].dtype

    def stretch(prompt: Array, start: Array | int, new: int) -> Array:
        def one(carry: Any, i: Array) -> Any:
            logits, cache = carry
            token = choose(jax.random.fold_in(key, i), logits, temperature, top_k)
            here = prompt.shape[1] + i - start
            logits, cache = net.apply({"params": params}, token[:, None], cache=cache, position=here)
            return (logits[:, 0], cache), token

        logits, cache = net.apply({"params": params}, prompt, cache=empty_cache(size, batch, dtype))
        _, tokens = jax.lax.scan(one, (logits[:, -1], cache), start + jnp.arange(new))
        return tokens.T

    first = min(length, size.context - given)
    text = jnp.concatenate([prompt, stretch(prompt, 0, first)], 1)
    if first == length:
        return text
    whole, rest = divmod(length - first, size.context - half)

    def again(tail: Array, start: Array) -> tuple[Array, Array]:
        new = stretch(tail, start, size.context - half)
        return jnp.concatenate([tail, new], 1)[:, -half:], new

    tail, stretches = jax.lax.scan(again, text[:, -half:], first + jnp.arange(whole) * (size.context - half))
    text = jnp.concatenate([text, stretches.swapaxes(0, 1).reshape(batch, -1)], 1)
    return text if not rest else jnp.concatenate([text, stretch(tail, length - rest, rest)], 1)
