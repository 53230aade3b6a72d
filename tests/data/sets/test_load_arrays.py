"""Each `load` of pictures, tables and sequences of numbers gives the sources built by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.data import tfds
from dlcore.data.facts import Facts
from dlcore.data.sets import embedded, images, longmemory, tables
from dlcore.data.splits import Splits
from tests.data.sets.test_load import SPLITS, check, stand_in


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces prepared sets."""
    stand_in(monkeypatch)


@pytest.mark.quick
def test_embedded_digits_and_images_offline() -> None:
    small, large = (
        {split: make(split) for split in SPLITS} for make in (embedded.digits, embedded.digits28)
    )
    check(embedded.load("digits", "published"), small)  # type: ignore[arg-type]
    check(images.load("mnist", "offline", 55000), large)  # type: ignore[arg-type]
    tiny = images.load("cifar10", "offline", 45000, offline="digits")
    check(tiny, small)  # type: ignore[arg-type]
    pair = images.load("mnist", "offline", None)
    check(pair, {split: large[split] for split in ("train", "test")})
    assert pair.facts.classes == list("0123456789")
    assert pair.evaluated() == {}


@pytest.mark.quick
def test_published_images_are_cut_and_named(prepared: None) -> None:
    found = images.load("fashion_mnist", "published", 55000)
    expected, names = images.splits("fashion_mnist", 55000, offline=False)
    check(found, expected)  # type: ignore[arg-type]
    assert found.train.info.split == "train[:55000]"
    assert tuple(found.facts.classes) == names
    unnamed = images.load("mnist", "published", None, features=("image", "label"))
    check(unnamed, {split: tfds.load("mnist", split) for split in ("train", "test")})
    assert unnamed.facts.classes == list("0123456789")


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes"])
def test_tables_keep_the_bits_of_their_folds_in_facts(name: str) -> None:
    found = tables.load(name, "offline", folds=3, repeats=2)
    direct = getattr(tables, name)(3, 2)
    check(found, {"train": direct.source, "test": direct.source})
    assert list(found.evaluated()) == ["test"]
    facts = Facts.from_json(found.facts.to_json())
    again = tables.folds_of(Splits(found.train, facts=facts))
    for each in ("centre", "scale", "y_centre", "y_scale"):
        assert getattr(again, each).dtype == np.float32
        np.testing.assert_array_equal(getattr(again, each), getattr(direct, each))
    assert again.repeats == 2


@pytest.mark.quick
def test_long_memory() -> None:
    sizes = {"adding": (200_000, 2000, 10_000), "copy": (200_000, 1000, 5000)}
    for name, make in (("adding", longmemory.adding), ("copy", longmemory.copy)):
        expected = {s: make(30, s, n) for s, n in zip(SPLITS, sizes[name], strict=True)}
        check(longmemory.load(name, "published", 30), expected)  # type: ignore[arg-type]
