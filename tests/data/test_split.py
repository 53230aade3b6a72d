"""Splits by hash, class, group and fold: nobody is lost, nobody is in two of them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcore.data import split
from dlcore.data.facts import Facts
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick
KEYS = [f"example {i}" for i in range(400)]


def partition(parts: split.Parts, count: int) -> bool:
    """Whether each index is in exactly one split, and every split is ascending."""
    ascending = all((np.diff(index) > 0).all() for index in parts.values())
    return ascending and sorted(np.concatenate(list(parts.values()))) == list(range(count))


def test_a_hash_decides_alone() -> None:
    parts = split.by_hash(KEYS, validation=0.2, test=0.1)
    assert partition(parts, len(KEYS))
    value = {key: int(hashlib.sha256(key.encode()).hexdigest()[:16], 16) / 2**64 for key in KEYS}
    assert [KEYS[i] for i in parts["test"]] == [key for key in KEYS if value[key] < 0.1]
    assert [KEYS[i] for i in parts["validation"]] == [k for k in KEYS if 0.1 <= value[k] < 0.3]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(max_size=3), max_size=30), st.lists(st.text(max_size=3), max_size=10))
def test_adding_examples_moves_none(keys: list[str], more: list[str]) -> None:
    def by_key(keys: list[str]) -> dict[str, str]:
        return {keys[i]: name for name, index in split.by_hash(keys).items() for i in index}

    assert by_key([*more, *keys]) == by_key(more) | by_key(keys)


def test_bytes_and_text_are_one_key_and_undecodable_paths_have_one() -> None:
    text, data = split.by_hash(KEYS), split.by_hash([key.encode() for key in KEYS])
    assert all((text[name] == data[name]).all() for name in text)
    assert partition(split.by_hash(["\udcff", ""]), 2)


def test_classes_have_the_same_fraction_in_every_split() -> None:
    labels = np.repeat(["a", "b", "c"], [200, 100, 20])[np.random.RandomState(1).permutation(320)]
    parts = split.stratified(labels, validation=0.1, test=0.2, seed=3)
    assert partition(parts, 320)
    count = {name: [int((labels[i] == c).sum()) for c in "abc"] for name, i in parts.items()}
    assert count == {"train": [140, 70, 14], "validation": [20, 10, 2], "test": [40, 20, 4]}
    again, other = split.stratified(labels, 0.1, 0.2, 3), split.stratified(labels, 0.1, 0.2, 4)
    assert (again["test"] == parts["test"]).all()
    assert (other["test"] != parts["test"]).any()


def test_a_group_is_in_one_split() -> None:
    groups = np.arange(200) % 20
    parts = split.by_group(groups, validation=0.1, test=0.25, seed=1)
    assert partition(parts, 200)
    assert {name: len({*groups[i]}) for name, i in parts.items()} == {
        "train": 13,
        "validation": 2,
        "test": 5,
    }
    assert {len(i) for i in parts.values()} == {130, 20, 50}  # so groups are whole


@pytest.mark.parametrize("given", [{}, {"labels": True}, {"groups": True}, {"both": True}])
def test_folds_test_each_example_once(given: dict[str, bool]) -> None:
    labels, groups = np.arange(60) % 2, np.arange(60) // 5
    use: dict[str, Any] = {
        "labels": labels if given.keys() & {"labels", "both"} else None,
        "groups": groups if given.keys() & {"groups", "both"} else None,
    }
    cut = split.folds(60, 4, 0, **use)
    assert sorted(np.concatenate([each["test"] for each in cut])) == list(range(60))
    for each in cut:
        assert partition(each, 60)
        if use["groups"] is not None:
            assert not {*groups[each["train"]]} & {*groups[each["test"]]}
        elif use["labels"] is not None:
            assert abs(labels[each["test"]].mean() - 0.5) < 0.05


def test_an_array_is_a_data_set_in_one_line() -> None:
    x, label = np.arange(80.0).reshape(40, 2), np.arange(40) % 2
    splits = split.from_arrays(
        {"x": x, "label": label}, split.stratified(label, 0.1, 0.1), facts=Facts(classes=["a", "b"])
    )
    assert splits.facts.examples == {"train": 32, "validation": 4, "test": 4}
    assert splits.facts.classes == ["a", "b"]
    rows = np.concatenate([s.gather(np.arange(len(s)))["x"] for _, s in splits.items()])
    assert sorted(rows[:, 0]) == list(x[:, 0])
    assert split.from_arrays({"x": x}, split.by_hash(KEYS[:40], 0, 0)).names() == ["train"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split.by_hash(KEYS, 0.5, 0.5), "leave something for training"),
        (lambda: split.by_hash(KEYS, -0.1), "fractions from 0"),
        (lambda: split.by_hash(KEYS, float("nan")), "fractions from 0"),
        (lambda: split.stratified(["a", "a", "a", "b"]), "class b has 1 examples"),
        (lambda: split.stratified(["a", "b"] * 4, 0.1, 0.1), "fewer than the 2 classes"),
        (
            lambda: split.stratified(["a", "a", "a", "b", "b", "b"] * 2, 0.4, 0.5),
            "the validation split cannot have every class",
        ),
        (lambda: split.by_group(["a", "a", "b"]), "2 groups are too few for 3 splits"),
        (lambda: split.folds(3, 4, 0), "4 folds of 3 examples: choose from 2 to 3"),
        (lambda: split.folds(3, 1, 0), "1 folds"),
        (lambda: split.folds(4, 2, 0, ["a", "b", "b", "b"]), "examples of the smallest class"),
        (lambda: split.folds(4, 2, 0, ["a"]), "1 labels of 4 examples"),
        (lambda: split.from_arrays({"x": np.zeros(2), "y": np.zeros(3)}, {}), "one length"),
        (
            lambda: split.from_arrays({"x": np.zeros(2)}, {"train": np.array([2])}),
            "outside its 2 examples",
        ),
        (
            lambda: split.from_arrays({"x": np.zeros(2)}, {"train": np.array([], int)}),
            "splits need `train`",
        ),
    ],
)
def test_refusals_say_why(call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()


def test_lists_of_any_length_are_a_data_set_in_one_line_too() -> None:
    lists = [np.arange(i) for i in range(20)]
    contents = {"tokens": lists, "label": np.arange(20)}
    parts = {"train": np.arange(15), "test": np.arange(15, 20)}
    splits = split.from_arrays(contents, parts, limits={"tokens": 16}, longer="truncate")
    batch = splits.test.gather(np.array([0, 4]))
    np.testing.assert_array_equal(batch["label"], [15, 19])
    np.testing.assert_array_equal(batch["tokens_length"], [15, 16])
    np.testing.assert_array_equal(batch["tokens"][0, :15], lists[15])
    with pytest.raises(UsageError, match="example 2 of arrays/test has the size 17, above"):
        split.from_arrays(contents, parts, limits={"tokens": 16})
    with pytest.raises(UsageError, match="arrays has no feature 'words'"):
        split.from_arrays(contents, parts, limits={"words": 16})
