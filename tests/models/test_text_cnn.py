"""Classifiers of texts: padding is as good as absent, and windows are where they should be."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from dlcore.models.rnn import RNN
from dlcore.models.text_cnn import TextCNN, TextRNN
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow

NETS = {
    "cnn": TextCNN(9, 6, (2, 3, 4), 5, 3, dropout=0.5),
    "rnn": TextRNN(9, 6, RNN("lstm", 4, bidirectional=True, dropout=0.5), 3, dropout=0.5),
}
TOKENS = np.array([[3, 1, 8, 2, 0, 0, 0], [5, 0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7]], np.int32)


@pytest.mark.parametrize("name", NETS)
def test_padding_has_no_effect(name: str) -> None:
    net, tokens = NETS[name], TOKENS
    variables = init(net, jax.random.key(0), tokens)
    y = apply(net, variables, tokens)
    for row, each in zip(tokens, np.asarray(y), strict=True):
        alone = apply(net, variables, row[row > 0][None])
        np.testing.assert_allclose(alone[0], each, rtol=1e-5, atol=1e-6)
    empty = apply(net, variables, np.zeros((1, 7), np.int32))
    np.testing.assert_allclose(empty[0], variables["params"]["head"]["bias"], atol=1e-6)


@pytest.mark.parametrize("name", NETS)
def test_dropout_belongs_to_the_example(name: str) -> None:
    net, rows = NETS[name], np.arange(3, dtype=np.int32)
    variables = init(net, jax.random.key(0), TOKENS)

    def run(order: Any) -> np.ndarray:
        rngs = {"dropout": jax.random.key(1)}
        y = apply(net, variables, TOKENS[order], train=True, row=rows[order], rngs=rngs)
        return np.asarray(y)

    whole = run(rows)
    np.testing.assert_allclose(run(rows[::-1]), whole[::-1], rtol=1e-5, atol=1e-6)
    assert np.abs(whole - np.asarray(apply(net, variables, TOKENS))).max() > 1e-3


def test_the_convolution_is_numpys() -> None:
    net = TextCNN(9, 6, (2, 3), 4, 3)
    variables = init(net, jax.random.key(0), TOKENS)
    params = jax.tree.map(np.asarray, variables["params"])
    for row, y in zip(TOKENS, np.asarray(apply(net, variables, TOKENS)), strict=True):
        x = params["embed"]["embedding"][row[row > 0]]
        maxima = []
        for length, before in ((2, 0), (3, 1)):
            padded = np.pad(x, ((before, length - 1 - before), (0, 0)))
            windows = np.stack([padded[i : i + length].reshape(-1) for i in range(len(x))])
            conv = params[f"conv_{length}"]
            maxima.append(np.maximum(windows @ conv["kernel"] + conv["bias"], 0).max(0))
        head = params["head"]
        expected = np.concatenate(maxima) @ head["kernel"] + head["bias"]
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
