"""A recurrent network that predicts the next token: its continuations of prompts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.char_rnn import CharRNN, generate
from dlcore.models.rnn import RNN
from tests.models.compiled import apply, init


@pytest.mark.slow
def test_generation_is_the_likeliest_token_after_the_whole_text_each_time() -> None:
    net = CharRNN(RNN("lstm", 8, layers=2), vocabulary=5)
    prompt = jnp.array([[1, 2, 3], [4, 0, 2]])
    params = jax.tree.map(lambda p: 3 * p, init(net, jax.random.key(0), prompt)["params"])
    text = prompt
    for _ in range(4):
        text = jnp.concatenate(
            [text, apply(net, {"params": params}, text)[0][:, -1:].argmax(-1)], 1
        )
    np.testing.assert_array_equal(generate(net, params, prompt, jax.random.key(0), 4, 0.0), text)
    with pytest.raises(ValueError, match="one direction"):
        generate(
            CharRNN(RNN("lstm", 8, bidirectional=True), 5), params, prompt, jax.random.key(0), 4
        )
    with pytest.raises(ValueError, match="prompt"):
        generate(net, params, prompt[:, :0], jax.random.key(0), 4)
