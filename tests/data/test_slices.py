"""Which examples a split names: as Python's slices and TFDS's percentages, and nothing that is not
there.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.data.slices import bounds
from dlcore.errors import UsageError

SPLITS = {"train": 7, "test": 200}


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", ("train", 0, 7)),
        ("train[:]", ("train", 0, 7)),
        ("train[0:7]", ("train", 0, 7)),
        ("train[6:]", ("train", 6, 7)),
        ("train[:1]", ("train", 0, 1)),
        ("train[-1:]", ("train", 6, 7)),
        ("train[-7:-6]", ("train", 0, 1)),
        ("train[:90%]", ("train", 0, 6)),  # 6.3
        ("train[90%:]", ("train", 6, 7)),
        ("train[:65%]", ("train", 0, 5)),  # 4.55
        ("test[1%:99%]", ("test", 2, 198)),
        ("test[-10%:]", ("test", 180, 200)),
        ("test[:100%]", ("test", 0, 200)),
        ("test[5:50%]", ("test", 5, 100)),
    ],
)
def test_worked_examples(split: str, expected: tuple[str, int, int]) -> None:
    assert bounds("set 1", SPLITS, split) == expected


@given(st.none() | st.integers(-210, 210), st.none() | st.integers(-210, 210))
def test_numbers_mean_what_they_mean_in_a_list(start: int | None, stop: int | None) -> None:
    split = f"test[{'' if start is None else start}:{'' if stop is None else stop}]"
    inside = all(end is None or -200 <= end <= 200 for end in (start, stop))
    expected = list(range(200))[start:stop]
    if inside and expected:
        assert bounds("set 1", SPLITS, split) == ("test", expected[0], expected[-1] + 1)
    else:
        with pytest.raises(
            UsageError,
            match=r"set 1, test\[.*\] would be examples .* of 200: choose existing ones",
        ):
            bounds("set 1", SPLITS, split)


@pytest.mark.parametrize(
    "split",
    ["", "train[", "train[1]", "train[1:2:3]", "train[a:]", "train+test", "train[:5.5%]", "[:5]"],
)
def test_what_is_no_split(split: str) -> None:
    with pytest.raises(UsageError, match=r"is not a split: write train, train\[:90%\]"):
        bounds("set 1", SPLITS, split)


def test_a_split_that_the_set_has_not() -> None:
    with pytest.raises(UsageError, match="set 1 has no split 'dev': it has train, test"):
        bounds("set 1", SPLITS, "dev[:5]")


@pytest.mark.parametrize(
    "split",
    ["train[3:3]", "train[7:]", "train[:0]", "train[5:2]", "train[:8]", "train[-8:]", "train[:1%]"],
)
def test_nothing_and_what_is_not_there(split: str) -> None:
    with pytest.raises(UsageError, match="choose existing ones"):
        bounds("set 1", SPLITS, split)
