"""GPT: a decoder-only Transformer (Radford et al. 2019) and its later variants."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Integer

from dlcore.kernels.activations import gelu
from dlcore.kernels.attention import attention, cached_attention
from dlcore.kernels.grouped import grouped_attention
from dlcore.kernels.rotary_scaling import PLAIN, Rope
from dlcore.models import experts
from dlcore.models.gpt_positions import causal, rotated, token_positions, visible
from dlcore.models.layers import Dropout, Norm
from dlcore.sharding import Tree, along_rows, gathered

# Column-parallel in, row-parallel out (Shoeybi et al. 2019): each pair needs one sum over `tensor`.
TENSOR = (
    (r"(qkv|up|gate)/kernel", (None, "tensor")),
    (r"(qkv|up|gate)/bias", ("tensor",)),
    (r"(out|down)/kernel", ("tensor", None)),
    (r"embed/embedding", ("tensor", None)),
    # The same for stacked layers, whose first dimension is the layer.
    (r"blocks/(qkv|up|gate)/kernel", (None, None, "tensor")),
    (r"blocks/(qkv|up|gate)/bias", (None, "tensor")),
    (r"blocks/(out|down)/kernel", (None, "tensor", None)),
    *experts.SHARDED,
)

# Patterns of the paths of the matrices, for tuning by low rank.
MATRICES = (r"blocks?(_\d+)?/(experts/)?(qkv|out|gate|up|down)/kernel", r"embed/embedding")

KeysValues = tuple[Array, Array]
Cache = tuple[KeysValues, ...]  # of each layer, [batch, kv heads, context, d]
Logits = Float[Array, "batch length vocabulary"]


@dataclasses.dataclass(frozen=True)
class Size:
    """The shape of a GPT.

    Attributes:
        vocabulary: number of different tokens.
        context: length of the longest text, in tokens.
        layers: number of blocks.
        heads: attention heads of a block.
        width: features of a token.
        dropout: rate of dropout after the embedding and in each block.
        rotary: rotary positions (Su et al. 2021) instead of learned ones.
        remat: compute activations again in the backward pass instead of keeping them.
        kv_heads: heads of keys and values, each shared by heads / kv_heads queries (Ainslie et al.
            2023); 0: as many as heads.
        norm: "layer", or "rms" for RMS normalisation.
        mlp: "gelu", 4 width wide; or "swiglu", a gated unit (Shazeer 2020) of as many parameters:
            8/3 width, rounded up to a multiple of 8.
        biases: in every dense layer and layer normalisation, as in GPT-2.
        scan: stack the parameters of all layers in `blocks` and compile one block for all of them,
            so that the time to compile does not grow with the depth.
        rope: base, scaling and partial form of rotary positions; ignored without `rotary`.
        window: a token attends to so many tokens at most, itself the last (sliding window, Beltagy
            et al. 2020); 0: to itself and all before it. All scores are computed: no time is saved.
        softcap: bound of attention scores, see `kernels.grouped`; 0: none. Training then keeps the
            scores of all queries and keys, where without it long texts take memory linear in the
            length.
        logit_softcap: bound of the logits, by the same tanh; 0: none.
        experts: MLPs of a block, without biases, of which each token passes through `top`; their
            hidden layers are 1 / top as wide, rounded up to a multiple of 8, so that in training a
            token takes `capacity` times as many operations as in one MLP. In inference, where no
            token is dropped, each expert is computed for each token: experts / top times as many,
            and as much memory. 0: one MLP.
        top: experts of a token; ignored without `experts`, as is `capacity`.
        capacity: in training an expert takes at most capacity * top * length / experts tokens of
            a row; at experts / top none is dropped.

    Raises:
        ValueError: `heads` does not divide `width`, `kv_heads` does not divide `heads`, a window
            or soft cap is below 0, or with experts `top` is not 1 to `experts`, or `capacity` is
            not above 0.
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
    rope: Rope = PLAIN
    window: int = 0
    softcap: float = 0.0
    logit_softcap: float = 0.0
    experts: int = 0
    top: int = 2
    capacity: float = 1.25

    def __post_init__(self) -> None:
        if min(self.window, self.softcap, self.logit_softcap) < 0:
            raise ValueError(
                f"a window and soft caps are at least 0, not {self.window}, {self.softcap} and"
                f" {self.logit_softcap}"
            )
        if self.experts and not (1 <= self.top <= self.experts and self.capacity > 0):
            raise ValueError(
                f"a token cannot have {self.top} of {self.experts} experts with a capacity of"
                f" {self.capacity}: at least 1, at most all, and a capacity above 0"
            )
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")
        if self.kv_heads < 0 or self.heads % self.keys:
            raise ValueError(
                f"{self.kv_heads} heads of keys and values cannot be shared by {self.heads} heads"
            )

    @property
    def keys(self) -> int:
        """The number of heads of keys and values."""
        return self.kv_heads or self.heads

    @property
    def hidden(self) -> int:
        """The width of the hidden layer of a block's MLP; of an expert, see `expert_hidden`."""
        return 4 * self.width if self.mlp == "gelu" else -(-8 * self.width // 24) * 8

    @property
    def expert_hidden(self) -> int:
        """The width of the hidden layer of an expert."""
        return -(-self.hidden // (8 * self.top)) * 8


class Block(nn.Module):
    """Applies a causal Transformer block: x + attention(norm(x)), then x + mlp(norm(x)).

    Maps tokens [batch, length, width] to (the same shape, cache with them; None without a cache).

    Attributes:
        size: of the GPT.
    """

    size: Size

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch length width"],
        row: Integer[Array, " batch"] | None,
        cache: KeysValues | None,
        position: Integer[Array, ""] | Integer[Array, "batch length"],
        segment: Integer[Array, "batch length"] | None,
        padding: Integer[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch length width"], KeysValues | None]:
        """Maps x [batch, length, width] to the same shape.

        Args:
            x: tokens.
            row: each example's index in the global batch [batch]; None, in evaluation: no dropout,
                and experts of unlimited capacity.
            cache: keys and values of earlier tokens, each [batch, kv heads, context, d]; None:
                none.
            position: index of the first token [], or without a cache of every one [batch, length].
            segment: number of the document of each token [batch, length], for packed rows: tokens
                attend to tokens of the same document only. Not with a cache; None: one document.
            padding: number of padding tokens at the left of each row [batch]; None: no padding.
                `position` is then the column of the first token.

        Returns:
            The mapped tokens, and the cache with their keys and values; None without a cache.
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
            q, k = (rotated(t, token_positions(position, length, padding), s.rope) for t in (q, k))
        if cache is not None:
            put = jax.lax.dynamic_update_slice_in_dim
            k, v = cache = put(cache[0], k, position, 2), put(cache[1], v, position, 2)
        grouped_cache = groups > 1 and cache is not None
        if grouped_cache or s.window or s.softcap or padding is not None:
            first = position if cache is not None else jnp.zeros((), jnp.int32)
            mask = visible(first, length, k.shape[2], s.window, segment, padding)
            if cache is None and not s.softcap:
                attended = attention(q, k, v, mask)
            else:
                attended = grouped_attention(q, k, v, mask, s.softcap)
        elif cache is not None:
            attended = cached_attention(q, k, v, position)
        else:
            attended = causal(q, k, v, segment)
        attended = dense(width, kernel_init=residual, name="out")(
            attended.swapaxes(1, 2).reshape(flat.shape)
        )
        x = x + drop(attended.reshape(x.shape), row)
        normal = norm(name="norm_mlp")(x.reshape(flat.shape))
        if s.experts:
            how = (s.experts, s.top, s.capacity, s.expert_hidden, s.mlp == "swiglu", residual)
            mixture = experts.Experts(*how, name="experts")
            return x + drop(mixture(normal.reshape(x.shape), row is not None), row), cache
        hidden = dense(s.hidden, name="up")(normal)
        hidden = (
            gelu(hidden)
            if s.mlp == "gelu"
            else hidden * nn.silu(dense(s.hidden, name="gate")(normal))
        )
        hidden = dense(width, kernel_init=residual, name="down")(hidden)
        return x + drop(hidden.reshape(x.shape), row), cache


class GPT(nn.Module):
    """Predicts the next token; the embedding is also the output matrix.

    Maps tokens [batch, length] to logits [batch, length, vocabulary] of the token after each; with
    a cache, to (logits, cache with these tokens).

    Attributes:
        size: of the GPT.

    Source: Radford et al. 2019; Press & Wolf 2017 for the tied embedding.
    """

    size: Size

    @nn.compact
    def __call__(
        self,
        tokens: Integer[Array, "batch length"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
        cache: Cache | None = None,
        position: Integer[Array, ""] | Integer[Array, "batch length"] | int = 0,
        segment: Integer[Array, "batch length"] | None = None,
        padding: Integer[Array, " batch"] | None = None,
    ) -> Logits | tuple[Logits, Cache]:
        """Computes logits [batch, length, vocabulary] of the token after each token.

        Args:
            tokens: [batch, length].
            train: whether dropout is applied and the capacity of experts limited; both need `row`.
            row: each example's index in the global batch [batch], for the keys of dropout.
            cache: keys and values of earlier tokens, see `empty_cache`; None: none.
            position: index of the first token [], or without a cache of every one [batch, length].
            segment: number of the document of each token [batch, length], for packed rows: tokens
                attend to tokens of the same document only. Not with a cache; None: one document.
            padding: number of padding tokens at the left of each row [batch], which no token sees;
                `position` is then the column of the first token, and tokens count from the first
                one that is no padding. None: no padding.

        Returns:
            The logits; with a cache (logits, cache with these tokens).

        Raises:
            ValueError: a cache is given together with stacked layers (`size.scan`) or `segment`.
        """
        s = self.size
        position, row = jnp.asarray(position), row if train else None
        embed = nn.Embed(
            s.vocabulary, s.width, embedding_init=nn.initializers.normal(0.02), name="embed"
        )
        x = jnp.take(gathered(embed.embedding, ("tensor", None)), tokens, axis=0)
        if not s.rotary:
            positions = self.param(
                "positions", nn.initializers.normal(0.02), (s.context, s.width), jnp.float32
            )
            at = position if padding is None else token_positions(position, x.shape[1], padding)
            x = x + (
                positions[at]
                if at.ndim
                else jax.lax.dynamic_slice_in_dim(positions, position, tokens.shape[1])[None]
            )
        x = along_rows(Dropout(s.dropout)(x, row))
        block = nn.remat(Block, prevent_cse=not s.scan) if s.remat else Block
        after: list[KeysValues] = []
        if cache is not None and segment is not None:
            raise ValueError("a cache holds one document: leave `segment` out")
        if s.scan:
            if cache is not None:
                raise ValueError(
                    "stacked layers have no cache: `unstacked` gives the parameters of single ones"
                )
            every = (nn.broadcast,) * 5
            stack = nn.scan(
                block,
                variable_axes={"params": 0, experts.ROUTING: 0},
                split_rngs={"params": True, "dropout": True},
                in_axes=every,
                length=s.layers,
            )
            x, _ = stack(s, name="blocks")(x, row, None, position, segment, padding)
        for layer in range(0 if s.scan else s.layers):
            x, kept = block(s, name=f"block_{layer}")(
                x, row, None if cache is None else cache[layer], position, segment, padding
            )
            if kept is not None:
                after.append(kept)
        normal = along_rows(Norm(s.norm, s.biases, name="norm")(x.reshape(-1, s.width)))
        logits = along_rows(embed.attend(normal), rest=False).reshape(*tokens.shape, s.vocabulary)
        if s.logit_softcap:
            logits = s.logit_softcap * jnp.tanh(logits / s.logit_softcap)
        return logits if cache is None else (logits, tuple(after))


def unstacked(size: Size, params: Tree) -> tuple[Size, Tree]:
    """Splits the stacked parameters of `size.scan` into those of single layers.

    Args:
        size: of the GPT.
        params: its parameters.

    Returns:
        The size without `scan` and its parameters; both unchanged where nothing is stacked.
    """
    if not size.scan:
        return size, params
    ends = {name: part for name, part in params.items() if name != "blocks"}
    layers = {
        f"block_{i}": jax.tree.map(lambda x, i=i: x[i], params["blocks"])
        for i in range(size.layers)
    }
    return dataclasses.replace(size, scan=False), {**ends, **layers}


def empty_cache(size: Size, batch: int, dtype: DTypeLike) -> Cache:
    """Returns a cache of zeros: per layer (keys, values), [batch, kv heads, context, d] each."""
    zeros = jnp.zeros((batch, size.keys, size.context, size.width // size.heads), dtype)
    return ((zeros, zeros),) * size.layers
