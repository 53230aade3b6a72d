"""A recurrent network that predicts the next token, and its continuations of prompts."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer, PRNGKeyArray

from dlcore.errors import UsageError
from dlcore.models.apply import infer
from dlcore.models.layers import Dropout
from dlcore.models.rnn import RNN
from dlcore.models.sampling import choose
from dlcore.sharding import Tree


class CharRNN(nn.Module):
    """Predicts the next token: one-hot tokens, an RNN and a dense layer.

    Maps tokens [batch, length] to logits [batch, length, vocabulary] of the token after each, and
    the last states of the RNN [batch, scans, state].

    Attributes:
        rnn: the RNN; its rate of dropout applies before the dense layer, too.
        vocabulary: number of tokens.
    """

    rnn: RNN
    vocabulary: int

    @nn.compact
    def __call__(
        self,
        tokens: Integer[Array, "batch length"],
        *,
        carry: Float[Array, "batch scans state"] | None = None,
        truncation: int = 0,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch length vocabulary"], Float[Array, "batch scans state"]]:
        """Computes logits [batch, length, vocabulary], and the last states [batch, scans, state].

        Args:
            tokens: [batch, length].
            carry: first states [batch, scans, state]; None: zeros.
            truncation: steps of truncated backpropagation, see `kernels.recurrent`; 0: none.
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.
        """
        # The embedding as a product with one-hot rows: on CPU its gradient is a product too, and
        # that of a gather a slow scatter. One-hot rows are exact in bfloat16, and are promoted to
        # the kernel's dtype in the product.
        x = jax.nn.one_hot(tokens, self.vocabulary, dtype=jnp.bfloat16)
        y, carry = self.rnn(x, carry=carry, truncation=truncation, train=train, row=row)
        y = Dropout(self.rnn.dropout)(y, row if train else None)
        logits = nn.Dense(self.vocabulary, name="out")(y.reshape(-1, y.shape[-1]))
        return logits.reshape(*tokens.shape, self.vocabulary), carry


@functools.partial(jax.jit, static_argnums=(0, 4, 5, 6, 7, 8))
def generate(
    net: CharRNN,
    params: Tree,
    prompt: Integer[Array, "batch given"],
    key: PRNGKeyArray,
    length: int,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 1.0,
    draft: int = 0,
) -> Integer[Array, "batch total"]:
    """Continues prompts by `length` tokens, in one compiled loop.

    Args:
        net: a network in one direction.
        params: its parameters.
        prompt: [batch, given], at least one token.
        key: random key; token i is drawn with `fold_in(key, i)`.
        length: number of new tokens.
        temperature, top_k, top_p: see `sampling.choose`.
        draft: 0; only a network without states checks several proposed tokens in one pass.

    Returns:
        Prompt and continuation [batch, given + length].

    Raises:
        ValueError: the prompt is empty, the network bidirectional, or see `sampling.choose`.
        UsageError: `draft` is not 0.
    """
    if draft:
        raise UsageError("a recurrent network cannot check proposed tokens: leave out --draft")
    if not prompt.shape[1] or net.rnn.bidirectional:
        raise ValueError("generation needs a prompt and a network of one direction")

    def one(state: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], Array]:
        logits, carry = state
        token = choose(jax.random.fold_in(key, i), logits, temperature, top_k, top_p)
        logits, carry = infer(net, params, token[:, None], carry=carry)
        return (logits[:, 0], carry), token

    logits, carry = infer(net, params, prompt)
    _, tokens = jax.lax.scan(one, (logits[:, -1], carry), jnp.arange(length))
    return jnp.concatenate([prompt, tokens.T], 1)
