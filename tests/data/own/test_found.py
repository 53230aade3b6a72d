"""Splits by a hash: what was cut stays, and what cannot be cut is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.data.own.found import Example, Found, first_values

pytestmark = pytest.mark.quick


def found(count: int, **more: list[Example]) -> Found:
    train = [Example(f"line {i}", (f"text {i}", "ab"[i % 2])) for i in range(count)]
    return Found(Path("own"), {"train": train, **more})


def test_what_a_hash_has_cut_stays_where_it_was_when_examples_are_added() -> None:
    few, many = found(150), found(300)
    many.splits["train"].reverse()
    for each in (few, many):
        each.divide(first_values)
        assert each.by_hash == ("validation", "test")
    for split, examples in few.splits.items():
        assert {e.values for e in examples} <= {e.values for e in many.splits[split]}
    assert 15 < len(many.splits["test"]) < 50
    assert sum(map(len, many.splits.values())) == 300
    assert many.named("test") == "test by hash"


def test_only_the_missing_splits_are_cut_and_given_ones_stay() -> None:
    given = [Example("line 1", ("text 3", "a"))]
    part = found(150, test=given)
    part.divide(first_values)
    assert part.by_hash == ("validation",)
    assert part.splits["test"] == given
    assert part.named("test") == "test"
    whole = found(5, test=given, validation=given)
    whole.divide(lambda examples: pytest.fail("nothing is to be cut"))
    assert whole.by_hash == ()


def test_too_few_examples_for_a_hash_and_labels_that_train_lacks() -> None:
    part = found(2)
    part.divide(first_values)
    assert "own: of its 2 examples the hash puts none into" in part.problems[0]
    odd = [Example("FILE, line 7", ("x", "c")), Example("FILE, line 9", ("y", "c"))]
    part = found(4, validation=odd[:0], test=odd)
    assert part.classes() == ["a", "b"]
    assert part.problems[0].startswith(
        "FILE, line 7: the label 'c' of test does not occur in train (2 examples): "
    )
    alone = found(1, validation=[], test=[])
    alone.classes()
    assert "all examples of train have the label 'a': a classifier needs two" in alone.problems[0]
