"""GPT: a decoder-only Transformer (Radford et al. 2019) and its later variants, and text generation
with a key/value cache.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.activations import gelu
from dlcore.kernels.attention import attention, cached_attention, causal_attention, rotary
from dlcore.models.beam import beam_search
from dlcore.models.layers import Dropout, Norm
from dlcore.models.sampling import choose
from dlcore.sharding import along_rows, gathered

# Column-parallel in, row-parallel out (Shoeybi et al. 2019): each pair needs one sum over `tensor`.
TENSOR = (
    (r"(qkv|up|gate)/kernel", (None, "tensor")),
    (r"(qkv|up|gate)/bias", ("tensor",)),
    (r"(out|down)/kernel", ("tensor", None)),
    (r"embed/embedding", ("tensor", None)),
    # The same of stacked layers: no axis for the layers.
    (r"blocks/(qkv|up|gate)/kernel", (None, None, "tensor")),
    (r"blocks/(qkv|up|gate)/bias", (None, "tensor")),
    (r"blocks/(out|down)/kernel", (None, "tensor", None)),
)

# keys and values of each layer, [batch, kv heads, context, d]
Cache = tuple[tuple[Array, Array], ...]


@dataclasses.dataclass(frozen=True)
class Size:
    """The shape of a GPT.

    kv_heads   heads of keys and values, each shared by heads / kv_heads queries (Ainslie et al.
               2023); 0: one for each query
    norm       layer normalisation, or by the root of the mean square alone
    mlp        gelu, 4 width wide; or a gated unit (Shazeer 2020) of as many parameters: 8/3 width,
               rounded up to eights
    biases     in every dense layer and layer normalisation, as GPT-2 has them
    scan       one compiled block for all layers, their parameters stacked in `blocks`: a deep model
               compiles as fast as a shallow one
    """

    vocabulary: int
    context: int
    layers: int
    heads: int
    width: int
    dropout: float = 0.0
    rotary: bool = False
    remat: bool = False
    kv_heads: int = 0
    norm: Literal["layer", "rms"] = "layer"
    mlp: Literal["gelu", "swiglu"] = "gelu"
    biases: bool = False
    scan: bool = False

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")
        if self.kv_heads < 0 or self.heads % self.keys:
            raise ValueError(
                f"{self.kv_heads} heads of keys and values cannot be shared by {self.heads} heads"
            )

    @property
    def keys(self) -> int:
        """How many heads of keys and values there are."""
        return self.kv_heads or self.heads

    @property
    def hidden(self) -> int:
        """The width of the hidden layer of a block."""
        return 4 * self.width if self.mlp == "gelu" else -(-8 * self.width // 24) * 8


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    size: Size

    @nn.compact
    def __call__(
        self,
        x: Array,
        row: Array | None,
        cache: tuple[Array, Array] | None,
        position: Array,
        segment: Array | None,
    ) -> tuple[Array, Any]:
        """x [batch, length, width] -> the same, and the cache with these tokens' keys and values in
        it (None if None).
        """
        s, (batch, length, width) = self.size, x.shape
        dense = functools.partial(
            nn.Dense, use_bias=s.biases, kernel_init=nn.initializers.normal(0.02)
        )
        residual = nn.initializers.normal(0.02 / (2 * s.layers) ** 0.5)
        norm = functools.partial(Norm, s.norm, s.biases)
        drop = Dropout(s.dropout, name="drop")
        x = along_rows(x)
        # matrices, not batches of matrices: CPU runs them a fifth faster
        flat = x.reshape(batch * length, width)
        d, groups = width // s.heads, s.heads // s.keys
        heads = dense((s.heads + 2 * s.keys) * d, name="qkv")(
            norm(name="norm_attention")(flat)
        ).reshape(batch, length, -1, d)
        q, k, v = (part.swapaxes(1, 2) for part in jnp.split(heads, (s.heads, s.heads + s.keys), 2))
        if s.rotary:
            q, k = (
                rotary(t, position[:, None] if position.ndim else position + jnp.arange(length))
                for t in (q, k)
            )
        if cache is not None:
            put = jax.lax.dynamic_update_slice_in_dim
            k, v = cache = put(cache[0], k, position, 2), put(cache[1], v, position, 2)
        if groups > 1:
            k, v = (jnp.repeat(t, groups, 1) for t in (k, v))
        if cache is not None:
            seen = cached_attention(q, k, v, position)
        elif segment is not None:
            past = jnp.tril(jnp.ones((length, length), bool))[None]
            seen = attention(q, k, v, past & (segment[:, :, None] == segment[:, None, :]))
        else:
            seen = causal_attention(q, k, v)
        attended = dense(width, kernel_init=residual, name="out")(
            seen.swapaxes(1, 2).reshape(flat.shape)
        )
        x = x + drop(attended.reshape(x.shape), row)
        normal = norm(name="norm_mlp")(x.reshape(flat.shape))
        hidden = dense(s.hidden, name="up")(normal)
        hidden = (
            gelu(hidden)
            if s.mlp == "gelu"
            else hidden * nn.silu(dense(s.hidden, name="gate")(normal))
        )
        hidden = dense(width, kernel_init=residual, name="down")(hidden)
        return x + drop(hidden.reshape(x.shape), row), cache


class GPT(nn.Module):
    """Logits of the next token at every place; the output matrix is the token embedding (Press &
    Wolf 2017).
    """

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
        segment: Array | None = None,
    ) -> Any:
        """tokens [batch, length] -> logits [batch, length, vocabulary]; with a `cache`, (logits,
        cache), tokens at `position`.

        Packed rows: `segment` [batch, length] says whose each token is, who sees nobody else's, and
        `position` [batch, length] where.
        """
        s = self.size
        position, row = jnp.asarray(position), row if train else None
        embed = nn.Embed(
            s.vocabulary, s.width, embedding_init=nn.initializers.normal(0.02), name="embed"
        )
        x = jnp.take(gathered(embed.embedding, ("tensor", None)), tokens, axis=0)
        if not s.rotary:
            places = self.param(
                "positions", nn.initializers.normal(0.02), (s.context, s.width), jnp.float32
            )
            x = x + (
                places[position]
                if position.ndim
                else jax.lax.dynamic_slice_in_dim(places, position, tokens.shape[1])[None]
            )
        x = along_rows(Dropout(s.dropout)(x, row))
        block = nn.remat(Block, prevent_cse=not s.scan) if s.remat else Block
        after: list[Any] = []
        if s.scan:
            if cache is not None:
                raise ValueError(
                    "stacked layers have no cache: `unstacked` gives the parameters of single ones"
                )
            every = (nn.broadcast,) * 4
            stack = nn.scan(
                block,
                variable_axes={"params": 0},
                split_rngs={"params": True, "dropout": True},
                in_axes=every,
                length=s.layers,
            )
            x, _ = stack(s, name="blocks")(x, row, None, position, segment)
        for layer in range(0 if s.scan else s.layers):
            x, kept = block(s, name=f"block_{layer}")(
                x, row, None if cache is None else cache[layer], position, segment
            )
            after.append(kept)
        normal = along_rows(Norm(s.norm, s.biases, name="norm")(x.reshape(-1, s.width)))
        logits = along_rows(embed.attend(normal), rest=False).reshape(*tokens.shape, s.vocabulary)
        return logits if cache is None else (logits, tuple(after))


def unstacked(size: Size, params: Any) -> tuple[Size, Any]:
    """The same network with each layer's parameters for themselves; as it is where nothing is
    stacked.
    """
    if not size.scan:
        return size, params
    ends = {name: part for name, part in params.items() if name != "blocks"}
    layers = {
        f"block_{i}": jax.tree.map(lambda x, i=i: x[i], params["blocks"])
        for i in range(size.layers)
    }
    return dataclasses.replace(size, scan=False), {**ends, **layers}


def empty_cache(size: Size, batch: int, dtype: Any) -> Cache:
    """A cache with room for a whole context."""
    zeros = jnp.zeros((batch, size.keys, size.context, size.width // size.heads), dtype)
    return ((zeros, zeros),) * size.layers


@functools.partial(jax.jit, static_argnums=(0, 4, 5, 6, 7))
def generate(
    size: Size,
    params: Any,
    prompt: Array,
    key: Array,
    length: int,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Array:
    """Continue prompt [batch, some] by `length` tokens, in one compiled loop with a cache: [batch,
    some + length].

    When the context is full, its second half becomes the prompt of the next stretch. Raises
    ValueError for a prompt that is empty or fills the context, for a temperature below 0, and a
    `top_p` outside (0, 1].
    """
    batch, given = prompt.shape
    half = max(1, size.context // 2)
    if not 0 < given < size.context or temperature < 0:
        raise ValueError(
            f"a prompt of 1 to {size.context - 1} tokens and a temperature of at least 0, not"
            f" {given} and {temperature}"
        )
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is a probability above 0, not {top_p}")
    size, params = unstacked(size, params)
    net, dtype = GPT(size), jax.tree.leaves(params)[0].dtype

    def continue_segment(prompt: Array, start: Array | int, new: int) -> Array:
        def one(carry: Any, i: Array) -> Any:
            logits, cache = carry
            token = choose(jax.random.fold_in(key, i), logits, temperature, top_k, top_p)
            here = prompt.shape[1] + i - start
            logits, cache = net.apply(
                {"params": params}, token[:, None], cache=cache, position=here
            )
            return (logits[:, 0], cache), token

        logits, cache = net.apply({"params": params}, prompt, cache=empty_cache(size, batch, dtype))
        _, tokens = jax.lax.scan(one, (logits[:, -1], cache), start + jnp.arange(new))
        return tokens.T

    first = min(length, size.context - given)
    text = jnp.concatenate([prompt, continue_segment(prompt, 0, first)], 1)
    if first == length:
        return text
    whole, rest = divmod(length - first, size.context - half)

    def again(tail: Array, start: Array) -> tuple[Array, Array]:
        new = continue_segment(tail, start, size.context - half)
        return jnp.concatenate([tail, new], 1)[:, -half:], new

    tail, new_segments = jax.lax.scan(
        again, text[:, -half:], first + jnp.arange(whole) * (size.context - half)
    )
    text = jnp.concatenate([text, new_segments.swapaxes(0, 1).reshape(batch, -1)], 1)
    return (
        text
        if not rest
        else jnp.concatenate([text, continue_segment(tail, length - rest, rest)], 1)
    )


@functools.partial(jax.jit, static_argnums=(0, 3, 4, 5, 6))
def likeliest(
    size: Size, params: Any, prompt: Array, length: int, beams: int, end: int, penalty: float = 1.0
) -> tuple[Array, Array]:
    """The likeliest continuations of prompt [batch, some] by up to `length` tokens, best first, as
    `models.beam.beam_search` says.

    Raises ValueError for a prompt that is empty, or does not fit the context together with
    `length`.
    """
    batch, given = prompt.shape
    if given < 1 or given + length > size.context:
        raise ValueError(
            f"a prompt of {given} tokens and {length} more do not fit a context of {size.context}"
        )
    size, params = unstacked(size, params)
    net, dtype = GPT(size), jax.tree.leaves(params)[0].dtype
    cache: Any = empty_cache(size, batch, dtype)
    if given > 1:  # the last token of the prompt is the first that the search goes on from
        _, cache = net.apply({"params": params}, prompt[:, :-1], cache=cache)

    def step(tokens: Array, cache: Any, i: Array) -> tuple[Array, Any]:
        flat = jax.tree.map(lambda x: x.reshape(batch * beams, *x.shape[2:]), cache)
        logits, flat = net.apply(
            {"params": params}, tokens.reshape(-1, 1), cache=flat, position=given - 1 + i
        )
        return logits.reshape(batch, beams, -1), jax.tree.map(
            lambda x: x.reshape(batch, beams, *x.shape[1:]), flat
        )

    cache = jax.tree.map(lambda x: jnp.repeat(x[:, None], beams, 1), cache)
    return beam_search(
        step, cache, prompt[:, -1], beams=beams, length=length, end=end, penalty=penalty
    )
