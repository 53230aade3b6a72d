"""Facts are plain JSON; transforms change contents and fingerprints alone."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import jax
import numpy as np
import pytest

from dlcore.data.facts import Facts
from dlcore.data.sets import longmemory
from dlcore.data.source import Arrays, Partnered, arrays, windows
from dlcore.data.splits import Splits, Unopened
from dlcore.data.stream import Stream
from dlcore.data.transforms import Transformed
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


def source(split: str, n: int = 4, start: int = 0) -> Arrays:
    image = np.arange(start, start + n * 6, dtype=np.uint8).reshape(n, 2, 3)
    return arrays("set", "1.0.0", split, {"image": image, "label": np.arange(n, dtype=np.int32)})


def splits(**more: Any) -> Splits:
    return Splits(source("train", 8), source("validation", start=1), source("test"), **more)


def test_facts_are_read_by_name_and_by_attribute_and_convert_numpy_scalars_and_tuples() -> None:
    facts = Facts(
        {"classes": ("a", "b"), "scale": np.float32(0.1)}, n=np.int64(3), on=np.True_, none=None
    )
    assert facts.classes == facts["classes"] == ["a", "b"]
    assert facts.scale == float(np.float32(0.1))
    assert (type(facts.n), facts.on, facts.none) == (int, True, None)
    assert "n" in facts
    assert "m" not in facts
    assert facts.get("m", 5) == 5
    assert facts == {**facts}
    assert facts != Facts(n=3)
    assert Facts.from_json(facts.to_json()) == facts
    assert copy.deepcopy(facts) == pickle.loads(pickle.dumps(facts)) == facts
    assert np.float32(Facts.from_json(facts.to_json()).scale) == np.float32(0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Facts(a=1, b=2).c, "no 'c': they have a, b"),
        (lambda: Facts(a={"b": [np.zeros(2)]}), r"'a\.b\[0\]' is of type ndarray.*tolist"),
        (lambda: Facts(a=object()), "'a' is of type object, not plain JSON"),
        (lambda: Facts(a=float("nan")), "'a' is nan"),
        (lambda: Facts(a={1: 2}), "'a' has the key 1"),
        (lambda: Facts(items=1), "cannot have the name 'items'"),
        (lambda: Facts.from_json("[1]"), "JSON object, not list"),
        (lambda: Facts.from_json("{"), "not JSON"),
    ],
)
def test_facts_refuse_what_is_not_plain_and_list_what_there_is(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_splits_know_the_fields_and_numbers_of_their_examples() -> None:
    made = splits(facts=Facts(classes=["x"]))
    assert made.facts.fields == {
        "image": {"shape": [2, 3], "dtype": "uint8"},
        "label": {"shape": [], "dtype": "int32"},
    }
    assert made.facts.examples == {"train": 8, "validation": 4, "test": 4}
    assert made.facts.sources["test"]["fingerprint"] == source("test").info.fingerprint
    assert made.with_facts(more=1).facts.classes == ["x"]


def test_scored_splits_are_evaluated_in_their_order_and_others_have_names() -> None:
    assert list(splits().evaluated()) == ["validation", "test"]
    assert list(Splits(source("train")).evaluated()) == []
    train = source("train")
    made = Splits.of(train=train, test=train, far=source("far"), scored=("far", "train"))
    assert list(made.evaluated()) == ["far", "train"]
    assert made.test is made["test"] is train
    assert made["far"].info.split == "far"
    for wrong, message in (
        (lambda: made["near"], "no split 'near': they have train, test, far"),
        (lambda: Splits.of(test=train), "splits need `train`, and there are test"),
        (lambda: Splits(train, scored=("dev",)), "scored names a split 'dev': there are train"),
    ):
        with pytest.raises(UsageError, match=message):
            wrong()


def test_a_mapping_adds_fields_and_a_function_makes_all_of_them() -> None:
    made = splits().map({"mean": lambda batch: batch["image"].mean((1, 2), dtype=np.float32)})
    assert set(made.facts.fields) == {"image", "label", "mean"}
    assert made.facts.fields["mean"]["dtype"] == "float32"
    for name, before in splits().items():
        after = made[name]
        kept = dataclasses.replace(after.info, fingerprint=before.info.fingerprint)
        assert kept == before.info
        assert after.info.fingerprint != before.info.fingerprint
        direct = arrays("set", "1.0.0", name, made[name].gather(np.arange(len(after))))
        assert after.info == direct.info
    other = made.map(lambda batch: {"x": batch["mean"] * 2})
    assert set(other.facts.fields) == {"x"}
    same = splits().map(lambda batch: dict(batch))
    assert same.train.info == splits().train.info


def test_training_and_held_out_splits_may_have_other_transforms() -> None:
    def plus(n: int) -> Any:
        return {"label": lambda batch: batch["label"] + n}

    def first(made: Splits) -> list[int]:
        return [int(each.gather(np.arange(1))["label"][0]) for _, each in made.items()]

    assert first(splits().map(plus(1))) == [1, 1, 1]
    assert first(splits().map(plus(1), train=plus(2))) == [2, 1, 1]
    assert first(splits().map(train=plus(2))) == [2, 0, 0]
    assert first(splits().map(held_out=plus(3))) == [0, 3, 3]
    assert splits().map(train=plus(2)).test.info == splits().test.info  # type: ignore[union-attr]


def test_other_sources_are_transformed_as_they_are_gathered() -> None:
    calls = []

    def double(batch: Any) -> Any:
        calls.append(len(batch["x"]))
        return {**batch, "x": batch["x"] * 2}

    train = longmemory.adding(20, "train", 1000)
    made = Splits(train).map(double)
    assert isinstance(made.train, Transformed)
    assert max(calls) <= 64
    at = np.array([7, 999])
    np.testing.assert_array_equal(made.train.gather(at)["x"], train.gather(at)["x"] * 2)
    prints = {each.train.info.fingerprint for each in (made, made.map(double), Splits(train))}
    assert len(prints) == 3
    assert made.train.info.fingerprint == Splits(train).map(double).train.info.fingerprint
    text = windows("text", "1", "train", np.arange(20), 4, 1)
    shifted = Splits(text).map(lambda batch: {**batch, "tokens": batch["tokens"] + 1}).train
    np.testing.assert_array_equal(shifted.gather(np.arange(1))["tokens"], [[1, 2, 3, 4]])


def test_paired_examples_are_transformed_like_the_examples() -> None:
    made = Splits(Partnered(source("train"))).map({"label": lambda batch: batch["label"] * 10})
    batch = Stream(made.train, 4, 0, np.arange(4)).at(0)
    np.testing.assert_array_equal(batch["partner_label"], np.roll(batch["label"], -1))
    assert batch["label"].max() == 30
    assert "partner_image" in made.facts.fields


def test_a_transform_that_loses_examples_is_refused() -> None:
    for function, message in (
        (lambda batch: {"x": batch["label"][:2]}, r"'x' as int32 \(2,\): .* array of 8 rows"),
        (lambda batch: batch["label"], "gave ndarray: it must give a dict"),
        (lambda batch: {"x": np.array([None] * 8)}, "'x' as object"),
    ):
        with pytest.raises(UsageError, match=message):
            splits().map(train=function)


@pytest.mark.parametrize(
    "changes",
    [
        {"scored": 3},
        {"examples": {"train": "8"}},
        {"examples": {}},
        {"examples": 8},
        {"sources": ["train"]},
        {"sources": {"train": {"name": "set"}}},
        {"fields": {"image": {"shape": "2", "dtype": "uint8"}}},
        {"fields": {"image": {"shape": [2], "dtype": "number"}}},
        {"fields": {"image": [2]}},
    ],
)
def test_damaged_facts_are_named(changes: dict[str, Any]) -> None:
    made = Splits.of(train=source("train", 8), facts=Facts(classes=["x"]))
    with pytest.raises(UsageError, match="facts of the data are damaged"):
        Splits.from_facts(made.facts.with_facts(**changes))


def test_without_data_splits_know_facts_and_templates_and_refuse_examples() -> None:
    made = Splits.of(
        train=source("train", 8),
        far=source("far"),
        scored=("far",),
        facts=Facts(classes=["x"]),
    )
    closed = Splits.from_facts(Facts.from_json(made.facts.to_json()))
    assert closed.facts == made.facts
    assert list(closed.evaluated()) == ["far"]
    assert closed["far"].info == made["far"].info
    assert len(closed.train) == 8
    assert closed.template(5) == made.template(5)
    assert closed.template(5)["image"] == jax.ShapeDtypeStruct((5, 2, 3), np.uint8)
    assert closed.template(5)["row"].dtype == np.int32
    real = {
        name: (x.shape, x.dtype) for name, x in Stream(made.train, 5, 0, np.arange(5)).at(0).items()
    }
    assert {name: (x.shape, x.dtype) for name, x in made.template(5).items()} == real
    assert isinstance(closed.train, Unopened)
    for refused in (
        lambda: closed.train.gather(np.arange(1)),
        lambda: closed.train.arrays,  # type: ignore[attr-defined]
        lambda: closed.map({"x": lambda batch: batch["label"]}),
    ):
        with pytest.raises(
            UsageError, match=r"the data of this run are not open here: (only facts of )?set"
        ):
            refused()
