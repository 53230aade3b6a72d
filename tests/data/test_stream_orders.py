"""The orders of epochs: made once each, and no wider than they need be."""

from __future__ import annotations

import collections

import numpy as np
import pytest

from dlcore.data import stream
from dlcore.data.source import arrays

TEN = arrays("ten", "1", "train", {"x": np.arange(10)})


def test_each_order_of_each_seed_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: collections.Counter[tuple[int, int, int]] = collections.Counter()
    permutation = stream.permutation.__wrapped__

    def counted(n: int, seed: int, epoch: int) -> np.ndarray:
        made[n, seed, epoch] += 1
        return permutation(n, seed, epoch)

    counted.__wrapped__ = counted  # type: ignore[attr-defined]
    monkeypatch.setattr(stream, "permutation", counted)
    streams = stream.Streams(TEN, 4, (3, 4, 5))
    for step in range(6):  # 24 examples: two batches reach into the next epoch
        streams.at(step)
    assert made == {(10, seed, epoch): 1 for seed in (3, 4, 5) for epoch in range(3)}


def test_one_step_unless_more_are_requested() -> None:
    streams = stream.Streams(TEN, 4, (3, 4))
    assert {name: x.shape for name, x in streams.at(1).items()} == dict.fromkeys(
        ("x", "row", "mask"), (2, 1, 4)
    )
    assert streams.at(1, 3)["x"].shape == (2, 3, 4)


def test_orders_take_four_bytes_an_example() -> None:
    assert stream.permutation(1000, 0, 0).dtype == np.int32
