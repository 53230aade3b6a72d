"""The first number of an array that is out of range, found block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

_BLOCK = 16 << 20  # bytes that are checked at a time


def first_outside(
    array: np.ndarray, low: float, high: float, weights: Sequence[np.ndarray] = ()
) -> tuple[int, object] | None:
    """Returns row and value of the first number outside low..high, as NaN is; None: there is none.

    Both ends belong to the range. With weights, only numbers count where one of them is not 0; if
    one of them has another shape than `array`, all weights are ignored. None also for an array that
    has neither integers nor floating-point numbers.
    """
    if any(each.shape != array.shape for each in weights):
        weights = ()

    def outside(start: int, block: np.ndarray) -> np.ndarray:
        if not weights and block.min() >= low and block.max() <= high:
            return np.zeros(1, bool)
        parts = [each[start : start + len(block)] != 0 for each in weights]
        wrong = ~((block >= low) & (block <= high))
        return wrong & np.logical_or.reduce(parts) if weights else wrong

    return _first(array, outside)


def first_overflow(array: np.ndarray) -> tuple[int, object] | None:
    """Returns row and value of the first finite number that is infinite in float32; None: none."""

    def overflows(_: int, block: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.isfinite(block) & np.isinf(block.astype(np.float32))

    return _first(array, overflows)


def _first(
    array: np.ndarray, wrong: Callable[[int, np.ndarray], np.ndarray]
) -> tuple[int, object] | None:
    """Row and value of the first number for which `wrong(first row, block)` is True."""
    if not array.size or array.dtype.kind not in "iuf":
        return None
    for start, block in _blocks(array):
        if (found := wrong(start, block)).any():
            at = tuple(int(i) for i in np.argwhere(found)[0])
            return start + at[0], block[at]
    return None


def _blocks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (index of the first row, rows) of consecutive blocks of `_BLOCK` bytes or one row."""
    rows = max(1, _BLOCK // array[:1].nbytes)
    for start in range(0, len(array), rows):
        yield start, array[start : start + rows]
