"""BERT: only the masked positions meet the softmax and nothing is lost by it; padding is no text;
fine-tuning takes what it should.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore.models.bert import Classifier, Masked
from dlcore.models.encoder import Size
from dlcore.train import weights as export
from dlcore.train.step import State
from dlcore.train.subtrees import load_subtree
from tests.models.compiled import apply, init

pytestmark = pytest.mark.slow

SIZE, VOCABULARY = Size(layers=1, heads=2, width=8), 20
TOKENS = np.random.default_rng(0).integers(1, VOCABULARY, (3, 6)).astype(np.int32)
NET = Masked(VOCABULARY, SIZE)
PARAMS = init(NET, jax.random.key(0), TOKENS, TOKENS[:, :1])["params"]


def test_the_loss_over_gathered_positions_equals_the_one_over_all_of_them() -> None:
    positions = np.array([[0, 3], [1, 2], [4, 5]])
    counts = np.zeros(TOKENS.shape, np.float32)
    np.put_along_axis(counts, positions, 1, 1)

    def gathered(params):  # type: ignore[no-untyped-def]
        logits = apply(NET, {"params": params}, TOKENS, positions)
        return optax.softmax_cross_entropy_with_integer_labels(
            logits, np.take_along_axis(TOKENS, positions, 1)
        ).sum()

    def full(params):  # type: ignore[no-untyped-def]
        logits = apply(NET, {"params": params}, TOKENS, np.tile(np.arange(6), (3, 1)))
        return (optax.softmax_cross_entropy_with_integer_labels(logits, TOKENS) * counts).sum()

    found, expected = (jax.jit(jax.value_and_grad(f))(PARAMS) for f in (gathered, full))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), found[1], expected[1]
    )


def test_the_output_matrix_is_the_embedding() -> None:
    twice = jax.tree.map(lambda x: x, PARAMS)
    # of a piece that is not read
    twice["text"]["embed"]["embedding"] = PARAMS["text"]["embed"]["embedding"].at[7].multiply(-3)
    tokens = np.where(TOKENS == 7, 8, TOKENS)
    before, after = (apply(NET, {"params": p}, tokens, tokens[:, :1] * 0) for p in (PARAMS, twice))
    moved = np.abs(after - before).max((0, 1)) > 1e-6
    assert moved.tolist() == [piece == 7 for piece in range(VOCABULARY)]


def test_padding_is_no_text() -> None:
    net = Classifier(VOCABULARY, SIZE, classes=4)
    own = init(net, jax.random.key(1), TOKENS)
    padded = np.pad(TOKENS, ((0, 0), (0, 5)))
    np.testing.assert_allclose(
        apply(net, own, padded), apply(net, own, TOKENS), rtol=1e-4, atol=1e-6
    )
    # the rows that fill up a last batch
    assert np.isfinite(apply(net, own, np.zeros((1, 6), np.int32))).all()


def test_fine_tuning_takes_the_text_part_and_nothing_else(tmp_path) -> None:  # type: ignore[no-untyped-def]
    state = State(jnp.zeros((), jnp.int32), {"net": PARAMS}, {}, {})
    export.save(state, tmp_path / "full.npz")
    export.save(state, tmp_path / "half.npz", half=True)
    fresh = init(Classifier(VOCABULARY, SIZE, classes=4), jax.random.key(2), TOKENS)["params"]
    for file, error in (("full.npz", 0), ("half.npz", 1e-3)):
        taken = load_subtree(fresh, export.load(tmp_path / file)["params"]["net"], {"text": "text"})
        jax.tree.map(
            lambda a, b, error=error: np.testing.assert_allclose(a, b, rtol=error, atol=error),
            taken["text"],
            PARAMS["text"],
        )
        jax.tree.map(np.testing.assert_array_equal, taken["head"], fresh["head"])
        assert {x.dtype for x in jax.tree.leaves(taken)} == {jnp.dtype("float32")}
    assert {leaf.dtype for leaf in jax.tree.leaves(export.load(tmp_path / "half.npz"))} == {
        np.dtype("float16")
    }
