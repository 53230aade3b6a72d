"""Readers of questions: padding has no effect, the best span is that of enumeration."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models import encoder
from dlcore.models.encoder_reader import EncoderReader
from dlcore.models.memory_reader import MemoryReader, position_weights
from dlcore.models.memory_reader import Size as MemorySize
from dlcore.models.reader import Flow, Size, SpanReader
from dlcore.models.span_head import best_spans

DRAW = np.random.RandomState(0)


def texts(question_length: int, length: int) -> tuple[np.ndarray, ...]:
    shapes = (2, question_length), (2, length)
    words = [DRAW.randint(2, 9, shape) for shape in shapes]
    flags = [DRAW.randint(0, 2, (*shape, 5)) for shape in shapes]
    bytes_of = [DRAW.randint(1, 256, (*shape, 4)) for shape in shapes]
    return (*words, *flags, *bytes_of)


def wider(arrays: tuple[np.ndarray, ...], by: int) -> tuple[np.ndarray, ...]:
    return tuple(np.pad(each, ((0, 0), (0, by), *[(0, 0)] * (each.ndim - 2))) for each in arrays)


NETS: dict[str, Any] = {
    "gru": SpanReader(Size(9, 8, 6, 4, dropout=0.0)),
    "attention": SpanReader(Size(9, 8, 6, 4, "attention", 0.0)),
    "pretrained": EncoderReader(9, encoder.Size(1, 2, 8), 1),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.nightly) if n == "gru" else n for n in NETS],
)
def test_padding_has_no_effect(name: str) -> None:
    encoder_alone = name == "pretrained"
    net, given = NETS[name], texts(3, 7)[: 4 if encoder_alone else 6]
    variables = jax.jit(net.init)(jax.random.key(0), *given)
    apply = jax.jit(net.apply)
    for short, long in zip(
        apply(variables, *given), apply(variables, *wider(given, 4)), strict=True
    ):
        if not encoder_alone:  # there the last separator has another position
            np.testing.assert_allclose(long[:, :8], short, atol=1e-5)
        assert (np.asarray(long[:, 8:]) < -1e8).all()


@pytest.mark.slow
def test_the_best_span_is_that_of_enumeration() -> None:
    start, end = DRAW.normal(size=(2, 20, 9)).astype(np.float32)
    span, worth, none = map(np.asarray, best_spans(start, end, 3))
    a, b = (each - np.log(np.exp(each).sum(-1, keepdims=True)) for each in (start, end))
    for row in range(20):
        pairs = {
            (i, j): a[row, i + 1] + b[row, j + 1] for i in range(8) for j in range(i, min(i + 3, 8))
        }
        best = max(pairs, key=lambda pair: pairs[pair])
        assert tuple(span[row]) == best
        np.testing.assert_allclose(worth[row], pairs[best], rtol=1e-5)
        np.testing.assert_allclose(none[row], a[row, 0] + b[row, 0], rtol=1e-5)


@pytest.mark.slow
def test_attention_of_text_and_question_by_loops() -> None:
    """Seo et al. 2017, eq. 1 to 4."""
    c, q = DRAW.normal(size=(2, 1, 4, 3)).astype(np.float32)
    there, question_mask = np.array([[1, 1, 1, 0]], bool), np.array([[1, 1, 0, 0]], bool)
    weight = DRAW.normal(size=(3, 3)).astype(np.float32)
    found = np.asarray(Flow().apply({"params": {"weight": weight}}, c, q, there, question_mask))[0]
    w = weight.reshape(-1)
    pairs = [[np.concatenate([a, b, a * b]) for b in q[0, :2]] for a in c[0, :3]]
    similarity = np.array(pairs) @ w
    soft = np.exp(similarity) / np.exp(similarity).sum(1, keepdims=True)
    best = np.exp(similarity.max(1)) / np.exp(similarity.max(1)).sum()
    summary = sum(best[i] * c[0, i] for i in range(3))
    for i in range(3):
        attended = sum(soft[i, j] * q[0, j] for j in (0, 1))
        expected = [c[0, i], attended, c[0, i] * attended, c[0, i] * summary]
        np.testing.assert_allclose(found[i], np.concatenate(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["attention", "pretrained"])
def test_question_and_characters_matter(name: str) -> None:
    net, given = NETS[name], texts(3, 7)[: 4 if name == "pretrained" else 6]
    variables = jax.jit(net.init)(jax.random.key(0), *given)
    apply = jax.jit(net.apply)
    before = apply(variables, *given)
    for index, array in enumerate(given):
        other = array.copy()
        other[0, 0] = array[0, 0] % 7 + 2 if array.ndim == 2 else 1 - np.minimum(array[0, 0], 1)
        after = apply(variables, *given[:index], other, *given[index + 1 :])
        changed = (np.asarray(after[0][0]) != np.asarray(before[0][0])).any()
        assert changed == (name == "attention" or index != 2)  # flags of questions are not read
        np.testing.assert_allclose(after[0][1], before[0][1], atol=1e-5)


def test_position_weights_by_hand() -> None:
    # J = 2, d = 2: (1 - j/2) - (k/2)(1 - j)
    np.testing.assert_allclose(position_weights(2, 2), [[0.5, 0.5], [0.5, 1.0]])


@pytest.mark.slow
def test_a_memory_network_by_loops() -> None:
    """Sukhbaatar et al. 2015, eq. 1 to 3, with adjacent weights and position encoding."""
    net = MemoryReader(MemorySize(9, 3, 6, 4, 2))
    story, question = DRAW.randint(1, 9, (1, 3, 5)), DRAW.randint(1, 9, (1, 5))
    story[0, 1, 3:] = 0
    variables = jax.jit(net.init)(jax.random.key(0), story, question)
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"])
    weights = position_weights(5, 4)

    def sentence(table: int, words: np.ndarray) -> np.ndarray:
        vectors = p[f"words_{table}"]["embedding"]
        return sum(weights[j] * vectors[word] for j, word in enumerate(words) if word)

    u = sentence(0, question[0])
    expected = []
    for hop in range(2):
        m = np.stack([sentence(hop, s) + p[f"ages_{hop}"][i] for i, s in enumerate(story[0])])
        c = np.stack(
            [sentence(hop + 1, s) + p[f"ages_{hop + 1}"][i] for i, s in enumerate(story[0])]
        )
        attention = np.exp(m @ u) / np.exp(m @ u).sum()
        expected.append(attention)
        u = u + attention @ c
    logits, found = jax.jit(net.apply)(variables, story, question)
    np.testing.assert_allclose(found[0], expected, rtol=1e-4)
    answer = u @ p["answer"]["kernel"] + p["answer"]["bias"]
    np.testing.assert_allclose(logits[0], answer, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_empty_memories_have_no_effect() -> None:
    net = MemoryReader(MemorySize(9, 3, 6, 8, 2))
    story, question = DRAW.randint(1, 9, (2, 4, 5)), DRAW.randint(1, 9, (2, 5))
    variables = jax.jit(net.init)(jax.random.key(0), story, question)
    apply = jax.jit(net.apply)
    logits, attention = apply(variables, story, question)
    longer = np.pad(story, ((0, 0), (0, 2), (0, 0)))
    padded, weights = apply(variables, longer, question)
    np.testing.assert_allclose(padded, logits, atol=1e-6)
    np.testing.assert_allclose(weights[..., :4], attention, atol=1e-6)
    assert not np.asarray(weights[..., 4:]).any()
    np.testing.assert_allclose(attention.sum(-1), 1, rtol=1e-6)
    _, none = apply(variables, np.zeros_like(story), question)
    assert not np.asarray(none).any()


@pytest.mark.slow
def test_a_memory_network_of_half_precision_computes_in_it() -> None:
    net = MemoryReader(MemorySize(9, 3, 6, 8, 2))
    story, question = DRAW.randint(1, 9, (2, 4, 5)), DRAW.randint(1, 9, (2, 5))
    variables = net.init(jax.random.key(0), story, question)
    rounded = jax.tree.map(lambda x: x.astype(jnp.bfloat16), variables)
    outputs = net.apply(rounded, story, question)
    assert {x.dtype for x in jax.tree.leaves(outputs)} == {jnp.dtype(jnp.bfloat16)}
    for ours, expected in zip(outputs, net.apply(variables, story, question), strict=True):
        np.testing.assert_allclose(ours.astype(jnp.float32), expected, atol=0.02)
