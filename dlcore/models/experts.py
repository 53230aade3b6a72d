"""A mixture of experts in place of a Transformer block's MLP (Shazeer et al. 2017)."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer
from jaxtyping import Bool, Float

from dlcore.kernels.activations import gelu
from dlcore.kernels.experts import combine, dispatch, route
from dlcore.sharding import along_experts, along_rows, gathered

# Experts over `fsdp`, each over `tensor` as a dense MLP is; the same for stacked layers.
SHARDED = (
    (r"experts/(up|gate)/kernel", ("fsdp", None, "tensor")),
    (r"experts/down/kernel", ("fsdp", "tensor", None)),
    (r"blocks/experts/(up|gate)/kernel", (None, "fsdp", None, "tensor")),
    (r"blocks/experts/down/kernel", (None, "fsdp", "tensor", None)),
)
ROUTING = "routing"  # the collection into which a block puts `Routed`, where it is mutable


class Routed(NamedTuple):
    """What a router decided, for the losses and metrics of `tasks.mixture`.

    Attributes:
        logits: of the router [batch, length, experts], float32 or wider.
        kept: bool [batch, length, top]: whether the chosen expert took the token (False: dropped
            for lack of capacity); choices are in descending order of logits.
    """

    logits: Float[Array, "batch length experts"]
    kept: Bool[Array, "batch length top"]


class ExpertDense(nn.Module):
    """Applies one dense layer without a bias for each expert to the tokens of that expert.

    Maps [experts, slots, inputs] to [experts, slots, features].

    Attributes:
        features: number of outputs of each expert.
        kernel_init: draws the kernels [experts, inputs, features].
    """

    features: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "experts slots n"]) -> Float[Array, "experts slots m"]:
        """Maps the tokens of each expert by its kernel, [experts, slots, n] to [..., features]."""
        shape = (x.shape[0], x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        return jax.lax.dot_general(x, kernel.astype(x.dtype), (((2,), (1,)), ((0,), (0,))))


class Experts(nn.Module):
    """Sends each token to `top` of several MLPs, and sums their outputs by the router's weights.

    Maps tokens [batch, length, width] to the same shape. The weights are the softmax over the `top`
    largest logits of a token (`kernels.experts.route`). The router's decisions are sown as `Routed`
    into the collection "routing", where the caller makes it mutable.

    In training an expert takes at most capacity * top * length / experts tokens of a row (rounded
    up), the first ones; of a later token its output adds 0 to the sum: shapes are fixed, so that
    XLA compiles and shards them, and rows do not depend on each other. In inference no token is
    dropped: a token's output depends on the token alone, with a cache as without one, at the price
    of computing each expert for each token.

    Attributes:
        experts, top, capacity: as of `gpt.Size`.
        hidden: width of the hidden layer of one expert.
        gated: whether an expert is a SwiGLU instead of an MLP with GELU.
        residual_init: draws the kernels of the last layer.
    """

    experts: int
    top: int
    capacity: float
    hidden: int
    gated: bool
    residual_init: Initializer

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch length width"], train: bool
    ) -> Float[Array, "batch length width"]:
        """Maps x [batch, length, width] to the same shape.

        Args:
            x: tokens.
            train: whether the capacity is limited.
        """
        (batch, length, width), normal = x.shape, nn.initializers.normal(0.02)
        router = gathered(
            self.param("router", normal, (width, self.experts), jnp.float32), (None, None)
        )
        acc_dtype = jnp.promote_types(x.dtype, jnp.float32)
        logits = jnp.einsum(
            "bld,de->ble", x, router.astype(x.dtype), preferred_element_type=acc_dtype
        )
        routing = route(logits, self.top, self._places(length) if train else length)
        if not self.is_initializing():  # initialised, it would be a state of the network
            kept = routing.slots < routing.choices.shape[1]
            self.sow(ROUTING, "routed", Routed(logits, kept))
        slots = along_rows(dispatch(x, routing, self.experts)).swapaxes(0, 1)
        slots = along_experts(slots).reshape(self.experts, -1, width)
        dense = functools.partial(ExpertDense, self.hidden, normal)
        hidden = dense(name="up")(slots)
        hidden = hidden * nn.silu(dense(name="gate")(slots)) if self.gated else gelu(hidden)
        out = ExpertDense(width, self.residual_init, name="down")(hidden)
        out = along_experts(out.reshape(self.experts, batch, -1, width)).swapaxes(0, 1)
        return combine(along_rows(out), routing)

    def _places(self, length: int) -> int:
        """Tokens of a row that an expert takes in training."""
        return min(length, math.ceil(self.capacity * self.top * length / self.experts))
