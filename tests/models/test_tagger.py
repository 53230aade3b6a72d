"""Taggers: padding changes nothing, and impossible transitions have no probability."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels import crf
from dlcore.models.tagger import IMPOSSIBLE, Size, Tagger
from tests.models.compiled import apply, init

SIZE = Size(9, 8, 4, 3, 5, 4, 6, 7, dropout=0.5, word_dropout=0.5)


def given(length: int = 6) -> tuple[jnp.ndarray, ...]:
    random = np.random.default_rng(0)
    words, characters = random.integers(1, 9, (3, 6)), random.integers(0, 8, (3, 6, 5))
    return jnp.asarray(words)[:, :length], jnp.asarray(characters)[:, :length], jnp.array([4, 2, 1])


@pytest.mark.slow
def test_padding_changes_no_score() -> None:
    net = Tagger(SIZE)
    variables = init(net, jax.random.key(0), *given())
    longer = jax.jit(net.apply)(variables, *given())
    words, characters, length = given()
    alone = jax.jit(net.apply)(variables, words[:, :4], characters[:, :4], length)
    for i, n in enumerate(length):
        np.testing.assert_allclose(
            longer.emissions[i, :n], alone.emissions[i, :n], rtol=1e-5, atol=1e-6
        )
    np.testing.assert_allclose(longer.intents, alone.intents, rtol=1e-5, atol=1e-6)
    other = words.at[1, 2:].set(8), characters.at[1, 2:].set(3), length
    changed = jax.jit(net.apply)(variables, *other)
    np.testing.assert_allclose(changed.intents, longer.intents, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_without_layers_a_word_and_its_characters_change_its_own_scores_alone() -> None:
    net = Tagger(SIZE._replace(layers=0))
    variables = init(net, jax.random.key(0), *given())
    run = jax.jit(net.apply)
    words, characters, length = given()
    before = run(variables, words, characters, length).emissions
    changes = (
        (words.at[0, 1].set(words[0, 1] % 7 + 1), characters),
        (
            words,
            characters.at[0, 1, 2].set(characters[0, 1, 2] % 7 + 1),
        ),
    )
    for changed in changes:
        after = run(variables, *changed, length).emissions
        differs = np.asarray((after != before).any(-1))
        assert differs[0, 1]
        assert differs.sum() == 1


@pytest.mark.quick
def test_all_scores_are_computed_in_the_precision_of_the_parameters() -> None:
    never = tuple(tuple(j == 2 for j in range(4)) for _ in range(4))
    net = Tagger(SIZE, never)
    shapes = jax.eval_shape(net.init, jax.random.key(0), *given())
    rounded = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.bfloat16), shapes)
    scores = jax.eval_shape(net.apply, rounded, *given())
    dtypes = {name: x.dtype for name, x in scores._asdict().items() if name != "length"}
    assert set(dtypes.values()) == {jnp.dtype(jnp.bfloat16)}, dtypes


@pytest.mark.slow
def test_dropout_depends_on_the_row_alone() -> None:
    net = Tagger(SIZE)
    variables = init(net, jax.random.key(0), *given())
    run = jax.jit(
        lambda row, *x: (
            apply(
                net, variables, *x, train=True, row=row, rngs={"dropout": jax.random.key(1)}
            ).emissions
        )
    )
    together = run(jnp.arange(3), *given())
    alone = run(jnp.array([2]), *(x[2:] for x in given()))
    np.testing.assert_allclose(together[2, :1], alone[0, :1], rtol=1e-5, atol=1e-6)
    assert not np.allclose(together, run(jnp.arange(3, 6), *given()))


@pytest.mark.slow
def test_impossible_transitions_have_no_probability_and_keep_the_fast_kernel() -> None:
    never = tuple(tuple(j == 2 and i != 1 for j in range(4)) for i in range(4))
    net = Tagger(SIZE, never)
    variables = init(net, jax.random.key(0), *given())
    chain = jax.jit(net.apply)(variables, *given())
    assert float(jnp.ptp(chain.transitions)) <= crf.RANGE
    loss = crf.crf_loss(*chain[:5], jnp.full((3, 6), 2))
    assert loss[0] > -3 * IMPOSSIBLE - 20
    assert loss[2] < 20  # of one word: no transition
