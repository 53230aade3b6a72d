"""The adding and the copy problem: what is asked, that it is random, and the numbers to beat."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.data.sets import longmemory

ALL = np.arange(4000)


def test_adding_asks_for_the_two_that_are_marked() -> None:
    batch = longmemory.adding(11, "train", 4000).gather(ALL)
    number, mark = batch["x"][..., 0], batch["x"][..., 1]
    assert set(np.unique(mark)) == {0, 1}
    np.testing.assert_array_equal(mark[:, :5].sum(1), 1)
    np.testing.assert_array_equal(mark[:, 5:].sum(1), 1)
    by_hand = [
        sum(float(v) for v, m in zip(row, marks, strict=True) if m)
        for row, marks in zip(number, mark, strict=True)
    ]
    np.testing.assert_allclose(batch["target"], by_hand, rtol=1e-6)
    assert ((number >= 0) & (number < 1)).all()


def test_always_saying_one_has_an_error_of_a_sixth() -> None:
    target = longmemory.adding(50, "test", 4000).gather(ALL)["target"]
    assert abs(((target - 1) ** 2).mean() - 1 / 6) < 0.01
    assert abs(target.mean() - 1) < 0.02


def test_numbers_and_places_are_spread_evenly_and_do_not_repeat() -> None:
    batch = longmemory.adding(20, "train", 4000).gather(ALL)
    counts, _ = np.histogram(batch["x"][..., 0], bins=16, range=(0, 1))
    # 5,000 a bin: a deviation of 4 in a row of 16 is rarer than this
    assert np.abs(counts / counts.mean() - 1).max() < 0.06
    assert np.abs(batch["x"][..., 1].mean(0) / 0.1 - 1).max() < 0.2
    assert len(np.unique(batch["x"][..., 0])) > 0.99 * 4000 * 20
    assert abs(np.corrcoef(batch["x"][:, 0, 0], batch["x"][:, 1, 0])[0, 1]) < 0.06


def test_copy_repeats_what_it_was_shown_after_the_mark() -> None:
    batch = longmemory.copy(7, "validation", 4000).gather(ALL)
    tokens, targets = batch["tokens"], batch["targets"]
    assert tokens.shape == targets.shape == (4000, 27)
    np.testing.assert_array_equal(tokens[:, :10], targets[:, -10:])
    assert ((tokens[:, :10] >= 1) & (tokens[:, :10] <= 8)).all()
    # ten places are left to answer in
    np.testing.assert_array_equal(np.argwhere(tokens == longmemory.MARK)[:, 1], 16)
    assert not targets[:, :-10].any()
    assert not tokens[:, 17:].any()
    counts = np.bincount(tokens[:, :10].reshape(-1), minlength=9)[1:]
    assert np.abs(counts / 5000 - 1).max() < 0.06


@pytest.mark.parametrize("make", [longmemory.adding, longmemory.copy])
def test_examples_are_a_function_of_split_seed_and_number(make: object) -> None:
    one = make(12, "train", 100)  # type: ignore[operator]
    name = next(iter(one.gather(ALL[:1])))
    alone, among = one.gather(np.array([7]))[name][0], one.gather(np.array([3, 7]))[name][1]
    np.testing.assert_array_equal(alone, among)
    others = [make(12, "test", 100), make(12, "train", 100, seed=1)]  # type: ignore[operator]
    for other in others:
        assert (other.gather(np.array([7]))[name][0] != alone).any()
        assert other.info.fingerprint != one.info.fingerprint
    with pytest.raises(ValueError, match="no split"):
        make(12, "dev", 100)  # type: ignore[operator]
    with pytest.raises(ValueError, match="at least"):
        make(0, "train", 100)  # type: ignore[operator]


@pytest.mark.parametrize("make", [longmemory.adding, longmemory.copy])
def test_the_last_seed_is_another_than_the_first_and_further_ones_are_refused(make: object) -> None:
    first, last = (make(12, "test", 100, seed=seed).gather(ALL[:5]) for seed in (0, 1364))  # type: ignore[operator]
    assert all((first[name] != last[name]).any() for name in first if name != "weight")
    for length, seed in ((12, -1), (12, 1365), (2**16 - 2, 0)):
        with pytest.raises(
            ValueError,
            match=f"seeds 0 to 1364 and lengths below 65534, not seed {seed} and length {length}",
        ):
            make(length, "train", 100, seed=seed)  # type: ignore[operator]
    assert len(make(2**16 - 3, "train", 100)) == 100  # type: ignore[operator]


def splitmix(place: int) -> int:
    """SplitMix64 in plain integers (Steele et al. 2014): output number `place` + 1 of the generator
    that starts at 0.
    """
    z = (place + 1) * 0x9E3779B97F4A7C15 % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def test_the_reference_is_splitmix64() -> None:
    # The published first outputs for seed 0.
    assert [splitmix(n) for n in range(3)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


@pytest.mark.parametrize(("split", "number"), [("train", 0), ("validation", 1), ("test", 2)])
def test_examples_do_not_change(split: str, number: int) -> None:
    """Cards are verified against them: each is what the generator gives at (seed and split,
    example, place).
    """
    seed, example, length = 5, 2**34 + 77, 7  # whichever example: the shifts must not meet
    index = np.array([1, example])

    def draw(place: int) -> int:
        return splitmix(((seed * 3 + number) << 52) + (example << 16) + place)

    batch = longmemory.adding(length, split, 10, seed).gather(index)
    assert {name: (x.dtype, x.shape) for name, x in batch.items()} == {
        "x": (np.dtype(np.float32), (2, length, 2)),
        "target": (np.dtype(np.float32), (2,)),
    }
    np.testing.assert_array_equal(
        batch["x"][1, :, 0], [np.float32((draw(place) >> 40) / 2**24) for place in range(length)]
    )
    marks = [draw(length) % 3, 3 + draw(length + 1) % 4]
    assert np.flatnonzero(batch["x"][1, :, 1]).tolist() == marks
    batch = longmemory.copy(length, split, 10, seed).gather(index)
    assert {name: (x.dtype, x.shape) for name, x in batch.items()} == {
        name: (np.dtype(kind), (2, length + 20))
        for name, kind in (("tokens", np.int32), ("targets", np.int32), ("weight", np.float32))
    }
    assert batch["tokens"][1, :10].tolist() == [1 + draw(place) % 8 for place in range(10)]
    assert (batch["weight"] == 1).all()


def test_the_shortest_problems() -> None:
    pair = longmemory.adding(2, "test", 50).gather(ALL[:50])
    assert (pair["x"][..., 1] == 1).all()
    np.testing.assert_allclose(pair["target"], pair["x"][..., 0].sum(1), rtol=1e-6)
    shortest = longmemory.copy(1, "test", 50).gather(ALL[:50])
    np.testing.assert_array_equal(shortest["tokens"][:, 10], longmemory.MARK)
    for make, least in ((longmemory.adding, 1), (longmemory.copy, 0)):
        with pytest.raises(ValueError, match=f"not {least}$"):
            make(least, "test", 50)
