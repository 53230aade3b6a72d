"""Token frequencies as a language model, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcore.data.facts import Facts
from dlcore.data.source import arrays
from dlcore.data.splits import Splits
from dlcore.tasks import token_frequencies
from dlcore.tasks.token_frequencies import BITS, MAJORITY, PERPLEXITY
from tests.child import built


def rows(targets: Any, weight: Any, **more: Any) -> Any:
    """A source of these arrays."""
    contents = {"targets": np.array(targets, np.int32), "weight": np.array(weight, np.float32)}
    return arrays("some", "1", "test", {**contents, **{n: np.array(x) for n, x in more.items()}})


@pytest.mark.quick
def test_perplexity_and_bits_by_hand() -> None:
    # counted: token 1 three times, token 2 once, and each of four tokens once more
    train = rows([[1, 1, 3], [2, 1, 3]], [[1, 1, 0], [1, 1, 0]])
    found = token_frequencies.log_frequencies(train, 4)
    np.testing.assert_allclose(np.exp(found), np.array([1, 4, 2, 1]) / 8)
    test = rows([[1, 0], [2, 3]], [[1, 0], [1, 1]], bytes=[[5.0, 9.0], [2.0, 1.0]])
    scores = token_frequencies.scores(test, found)
    bits = 1 + 2 + 3  # 1/2, 1/4 and 1/8
    assert scores == {PERPLEXITY: pytest.approx(2 ** (bits / 3)), BITS: pytest.approx(bits / 8)}
    assert token_frequencies.scores(rows([[1]], [[1]]), found) == {PERPLEXITY: pytest.approx(2)}


@pytest.mark.quick
def test_each_split_is_scored_by_the_frequencies_of_train() -> None:
    train, validation = rows([[0, 0]], [[1, 1]]), rows([[0, 1]], [[1, 1]])
    facts = Facts(vocabulary=2)
    splits = Splits.of(train=train, validation=validation, test=train, facts=facts)
    each = token_frequencies.evaluator(splits, PERPLEXITY)
    found = {s: each.score(None, {}, s)[PERPLEXITY] for s in each.sources}  # type: ignore[arg-type]
    assert found == {"validation": pytest.approx((3 / 16) ** -0.5), "test": pytest.approx(4 / 3)}


@pytest.mark.quick
def test_the_most_frequent_token_that_may_be_masked_by_hand() -> None:
    def source(tokens: list[list[int]]) -> Any:
        return arrays("some", "1", "test", {"tokens": np.array(tokens, np.int32)})

    train, test = source([[0, 0, 0, 0], [1, 3, 3, 2]]), source([[1, 3, 2, 3], [3, 2, 0, 0]])
    splits = Splits.of(train=train, validation=train, test=test, facts=Facts(vocabulary=5))
    each = token_frequencies.masked_evaluator(splits, 2)
    state: Any = None
    assert each.score(state, {}, "validation") == {MAJORITY: pytest.approx(2 / 3)}
    assert each.score(state, {}, "test") == {MAJORITY: pytest.approx(3 / 5)}


@pytest.mark.slow
def test_speeches_are_compared_with_the_frequencies_in_bits_per_byte() -> None:
    (each,) = built("gpt_speeches").evaluators
    assert each.metrics.keys() == {BITS}
    state: Any = None
    for split in each.sources:
        assert 1 < each.score(state, {}, split)[BITS] < 8
