"""Data that an experiment cannot take: refused with the place of the fault, and nothing refused
that it can take.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dlcore.data import array_scan, checks
from dlcore.data.checks import Indices
from dlcore.data.source import Arrays, Batch, Info, Partnered, Source, arrays
from dlcore.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Made:
    """A source that is no arrays: `field` of example i is `values[i]`."""

    field: str
    values: np.ndarray

    @property
    def info(self) -> Info:
        return Info("made", "1", "train", "", len(self.values))

    def __len__(self) -> int:
        return len(self.values)

    def gather(self, index: np.ndarray) -> Batch:
        return {self.field: self.values[index]}


def source(**contents: object) -> Arrays:
    return arrays("set", "1", "train", {key: np.asarray(value) for key, value in contents.items()})


def kinds(field: str, values: np.ndarray) -> list[Source]:
    """The same numbers as arrays, behind partners, and made when asked for."""
    plain = source(**{field: values})
    return [plain, Partnered(plain), Made(field, values)]


def test_sizes() -> None:
    ten, none = source(x=np.zeros(10)), source(x=np.zeros(0))
    checks.check_sizes(ten, 10, {"test": ten})
    with pytest.raises(
        UsageError,
        match=(
            r"--batch 11 is larger than the 10 examples of split train \(set 1\).*--batch 10 or"
            r" less"
        ),
    ):
        checks.check_sizes(ten, 11, {})
    with pytest.raises(
        UsageError, match=r"--batch 1 is larger than the 0 examples .*give it examples"
    ):
        checks.check_sizes(none, 1, {})
    with pytest.raises(UsageError, match=r"split test \(set 1\) has no examples"):
        checks.check_sizes(ten, 10, {"validation": ten, "test": none})


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nan_is_refused_and_infinity_is_not(kind: int, dtype: type) -> None:
    x = np.zeros((20, 3), dtype)
    x[7, 2], x[4, 0], x[5, 0] = 1, np.inf, -np.inf
    sound = kinds("x", x.copy())[kind]
    checks.check_numbers({"train": sound})
    x[7, 2] = x[9, 1] = np.nan
    with pytest.raises(
        UsageError, match=r"split test \(\w+ 1\): 'x' of example 7 is nan.*np\.nan_to_num"
    ):
        checks.check_numbers({"train": sound, "test": kinds("x", x)[kind]})


@pytest.mark.parametrize("value", [1e39, -1.7e308])
def test_floats_beyond_32_bits_are_refused(value: float) -> None:
    x = np.array([[0, np.inf], [float(np.finfo(np.float32).max), 5e-324], [1, value]])
    with pytest.raises(UsageError, match=r"'x' of example 2 is .*e\+.*infinite in the 32 bits"):
        checks.check_numbers({"train": source(x=x)})
    checks.check_numbers({"train": source(x=x)}, x64=True)
    checks.check_numbers({"train": source(x=x[:2])})


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_that_would_be_cut_are_refused(kind: int, dtype: type) -> None:
    limits = np.iinfo(np.int32 if dtype is np.int64 else np.uint32)
    y = np.array([0, limits.min, limits.max], dtype)
    checks.check_numbers({"train": kinds("y", y)[kind]})
    beyond = [limits.max + 1, 2**32 + 3] + ([limits.min - 1] if dtype is np.int64 else [])
    for value in beyond:
        large = kinds("y", np.array([0, 1, value], dtype))[kind]
        with pytest.raises(
            UsageError, match=rf"'y' of example 2 is {value}, which does not fit into the 32 bits"
        ):
            checks.check_numbers({"train": large})
        checks.check_numbers({"train": large}, x64=True)


def test_integers_of_32_bits_are_never_cut() -> None:
    checks.check_numbers(
        {
            "train": source(
                a=np.array([2**32 - 1], np.uint32), b=np.array([-(2**31)], np.int32), c=[True]
            )
        }
    )


def test_what_holds_no_numbers_is_left_alone() -> None:
    odd = source(
        label=np.array(["a", "b"]),
        flag=np.array([True, False]),
        nothing=np.zeros((2, 0)),
        none=np.zeros((2, 0), int),
    )
    fields = {name: Indices(1) for name in odd.arrays}
    checks.check_numbers({"train": odd})
    checks.check_indices({"train": odd}, fields)
    assert checks.find_fault(dict(odd.arrays), np.arange(2), fields) == ""


def test_large_arrays_are_read_to_their_end_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_scan, "_BLOCK", 64)
    for shape, rows in (((40,), 16), ((5, 3), 5), ((5, 4), 4), ((5, 16), 1), ((5, 99), 1)):
        array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
        starts, parts = zip(*array_scan._blocks(array), strict=True)
        assert starts == tuple(range(0, shape[0], rows))
        assert max(map(len, parts)) == rows
        np.testing.assert_array_equal(np.concatenate(parts), array)
    label, x = np.zeros(1000, np.int32), np.zeros((1000, 2), np.float32)
    label[977], x[998, 1] = 10, np.nan
    with pytest.raises(UsageError, match="'label' of example 977 is 10"):
        checks.check_indices({"train": source(label=label)}, {"label": Indices(10)})
    weight = np.ones(1000, np.float32)
    weight[977] = 0
    checks.check_indices(
        {"train": source(label=label, weight=weight)}, {"label": Indices(10, ("weight",))}
    )
    label[40] = 11
    with pytest.raises(UsageError, match="'label' of example 40 is 11"):
        checks.check_indices(
            {"train": source(label=label, weight=weight)}, {"label": Indices(10, ("weight",))}
        )
    with pytest.raises(UsageError, match="'x' of example 998 is nan"):
        checks.check_numbers({"train": source(x=x)})
    monkeypatch.setattr(checks, "_MOST", 998 * 8)  # what lies behind is seen when a step fails
    checks.check_numbers({"train": source(x=x)})


def test_batches_of_a_source_that_is_no_arrays_are_watched() -> None:
    label = np.zeros(100, np.int32)
    label[90] = -1
    made, fields = Made("label", label), {"label": Indices(10)}
    checks.check_indices({"train": made}, fields)  # the fault lies too far back
    batches = [made.gather(np.arange(start, start + 10)) for start in range(0, 100, 10)]
    for each in (made, Partnered(made)):
        seen = checks.watched(iter(batches), each, fields)
        assert [next(seen) is batch for batch in batches[:9]] == [True] * 9
        with pytest.raises(
            UsageError, match=r"split train \(made 1\): 'label' holds -1, and the loss uses"
        ):
            next(seen)
    # arrays were read before
    assert len(list(checks.watched(batches, source(label=label), fields))) == 10
    assert len(list(checks.watched(batches[:9], made, fields))) == 9


def test_the_fault_of_a_batch_is_found() -> None:
    examples = np.array([50, 60, 70])
    batch = {"x": np.zeros((3, 2)), "label": np.array([0, 1, 2]), "mask": np.ones(3)}
    assert checks.find_fault(batch, examples, {"label": Indices(3)}) == ""
    for value in (np.nan, np.inf):
        x = np.array([[0, 0], [0, value], [np.nan, 0]])
        assert checks.find_fault({**batch, "x": x}, examples, {}) == f"'x' of example 60 is {value}"
    assert "'label' holds 2, and the loss uses" in checks.find_fault(
        batch, examples, {"label": Indices(2)}
    )
    assert checks.find_fault(batch, examples, {"label": Indices(2)}).endswith(
        "it must be 0 to 1; " + ADVICE
    )
    weighed = {**batch, "label": np.array([0, -1, 2]), "weight": np.array([1, 0, 1])}
    assert "'label' holds -1" in checks.find_fault(
        weighed, examples, {"label": Indices(3, ("weight",))}
    )


ADVICE = "number the classes from 0, or give the model more outputs"
