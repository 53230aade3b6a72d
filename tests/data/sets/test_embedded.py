"""Data inside dependencies: always the same, whole and fairly split."""

from __future__ import annotations

import hashlib
import platform
import sys

import numpy as np
import pytest

from dlcore.data.sets import embedded, sentences
from dlcore.errors import UsageError

SPLITS = ("train", "validation", "test")


def test_digits_are_the_whole_set_once() -> None:
    from sklearn.datasets import load_digits

    data, label = load_digits(return_X_y=True)
    parts = [embedded.digits(split).arrays for split in SPLITS]
    ours = [
        (part["image"][row].tobytes(), int(part["label"][row]))
        for part in parts
        for row in range(len(part["label"]))
    ]
    theirs = [
        (np.floor(x * 255 / 16 + 0.5).astype(np.uint8).tobytes(), int(y))
        for x, y in zip(data, label, strict=True)
    ]
    assert sorted(ours) == sorted(theirs)
    assert len(set(ours)) == 1797  # all different, so that equal multisets mean disjoint splits


def test_digits_are_stratified() -> None:
    counts = np.array(
        [np.bincount(embedded.digits(split).arrays["label"], minlength=10) for split in SPLITS]
    )
    np.testing.assert_allclose(
        counts / counts.sum(0), np.array([[0.6], [0.2], [0.2]]) * np.ones(10), atol=0.005
    )


def test_digits_have_the_documented_form() -> None:
    import sklearn

    source = embedded.digits("train")
    assert (source.arrays["image"].shape, source.arrays["image"].dtype) == (
        (1078, 8, 8, 1),
        np.uint8,
    )
    assert (source.arrays["label"].shape, source.arrays["label"].dtype) == ((1078,), np.int32)
    assert (source.arrays["image"].min(), source.arrays["image"].max()) == (0, 255)
    assert (source.info.name, source.info.version, source.info.split) == (
        "digits",
        sklearn.__version__,
        "train",
    )
    assert source.info.fingerprint == embedded.digits("train").info.fingerprint


def test_digits_do_not_change() -> None:
    """Cards carry these fingerprints: a change here makes every published result on digits another
    data set's.
    """
    assert embedded.digits("test").info.fingerprint[:16] == "2447f286f17867b9"
    assert embedded.digits28("test").info.fingerprint[:16] == "6e8b15352553e6dc"


@pytest.mark.parametrize("split", SPLITS)
def test_digits28_are_the_same_digits_enlarged(split: str) -> None:
    small, large = embedded.digits(split).arrays, embedded.digits28(split).arrays
    assert (large["image"].shape[1:], large["image"].dtype) == ((28, 28, 1), np.uint8)
    np.testing.assert_array_equal(large["label"], small["label"])
    inner = large["image"][:, 2:26, 2:26]
    # a pixel keeps its grey in the middle of its block
    np.testing.assert_array_equal(inner[:, 1::3, 1::3], small["image"])
    assert large["image"].sum() == inner.sum()
    between = inner[:, 1, 2, 0].astype(int)  # a third of the way from pixel (0, 0) to pixel (0, 1)
    expected = (2 * small["image"][:, 0, 0, 0].astype(int) + small["image"][:, 0, 1, 0]) / 3
    assert np.abs(between - expected).max() <= 1


def test_documentation_is_split_ninety_to_ten() -> None:
    whole, train, validation = (
        embedded.documentation(split) for split in ("all", "train", "validation")
    )
    assert train + validation == whole
    assert len(train) == int(0.9 * len(whole))
    assert len(whole) > 200_000
    assert 'The "if" statement' in whole


def test_documentation_is_the_same_in_every_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards carry its version: offline results of two Pythons are of one text."""
    # what another Python has, or none, does not matter
    monkeypatch.setitem(sys.modules, "pydoc_data", None)
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    embedded.topics.cache_clear()
    assert hashlib.sha256(embedded.documentation().encode()).hexdigest()[:16] == "2a95af4ac93f5b71"
    assert embedded.documentation_version() == "3.11.7"
    said, topic = sentences.documentation()
    assert (len(said), len(set(topic.tolist())), len(embedded.topics())) == (2934, 69, 79)


@pytest.mark.parametrize("load", [embedded.digits, embedded.digits28, embedded.documentation])
def test_unknown_split_is_named(load: object) -> None:
    with pytest.raises(UsageError, match="has no split 'dev': it has train, validation"):
        load("dev")  # type: ignore[operator]
