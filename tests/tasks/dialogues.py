"""A small assistant, for tests of dialogues."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from dlcore.data.sets.dialogues import SPECIALS
from dlcore.data.tokens import Subwords, bpe
from dlcore.models.gpt import GPT, Size
from dlcore.tasks import dialogue_assistant
from dlcore.train.step import State

SIZE = Size(262, 48, layers=1, heads=2, width=8, rotary=True)


@functools.cache
def tokens() -> Subwords:
    """Bytes, and the special tokens."""
    return bpe(["aa"], 256 + len(SPECIALS), SPECIALS)


@functools.cache
def state() -> State:
    """Random parameters, large enough that answers differ."""
    tree = jax.jit(GPT(SIZE).init)(jax.random.key(0), jnp.zeros((1, 4), jnp.int32))["params"]
    tree = jax.tree.map(lambda x: 20 * x if x.ndim > 1 else x, tree)
    return State(jnp.zeros((), jnp.int32), {"net": tree}, {}, {})


ASSISTANT = dialogue_assistant.Assistant(SIZE, tokens(), 8)
