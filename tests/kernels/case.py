"""What every kernel is held to: a row of the table `CASES` in the test file of its module."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Arrays = tuple[Any, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A kernel, the float64 NumPy function that it must equal, and where it is tried.

    call          the kernel as a function of arrays alone
    reference     the same in NumPy, of float64 arrays
    inputs        (generator) -> arrays; the floating ones are cast to the type under test
    grads         which arguments it is differentiated by; empty: not differentiable
    batched       which arguments have the batch as first axis; empty: none
    f32, bf16     largest error over the reference's largest magnitude (absolute, where that is
                  below 1)
    edges         {name: arrays} where float32 must equal the reference too, NaN and infinity at the
                  same places
    edge          tolerance there, relative to each single value
    """

    call: Callable[..., Any]
    reference: Callable[..., Any]
    inputs: Callable[[np.random.Generator], Arrays]
    grads: Sequence[int] = ()
    batched: Sequence[int] = (0,)
    f32: float = 1e-6
    bf16: float = 2e-2
    edges: Mapping[str, Arrays] = dataclasses.field(default_factory=dict)
    edge: float = 1e-5


def floating(x: Any) -> bool:
    """Is this an array of floating numbers (and not a key, a row or a position)?"""
    return isinstance(x, np.ndarray) and np.issubdtype(x.dtype, np.floating)


def normals(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Arrays]:
    """Inputs of standard normal numbers."""
    return lambda generator: tuple(generator.standard_normal(shape) for shape in shapes)
