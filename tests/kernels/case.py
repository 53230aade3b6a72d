"""The rows of the tables `CASES`, one for each kernel, in the test files of the kernels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Arrays = tuple[Any, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A kernel, the float64 NumPy function that it must equal, and the inputs of the comparison.

    Attributes:
        call: the kernel as a function of arrays alone.
        reference: the same in NumPy, of float64 arrays.
        inputs: (generator) -> arrays; the floating ones are cast to the dtype under test.
        grads: positions of the arguments that gradients are tested for; empty: not differentiable.
        batched: positions of the arguments with the batch as first axis; empty: none.
        f32, bf16: largest error over the reference's largest magnitude (absolute, where that is
            below 1).
        edges: {name: arrays} for which float32 must equal the reference too, with NaN and infinity
            at the same positions.
        edge: tolerance for `edges`, relative to each single value.
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
    """Returns whether `x` is a NumPy array of floating dtype (and no key, row or position)."""
    return isinstance(x, np.ndarray) and np.issubdtype(x.dtype, np.floating)


def normals(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Arrays]:
    """Returns a function for `Case.inputs`: standard normal arrays of these shapes."""
    return lambda generator: tuple(generator.standard_normal(shape) for shape in shapes)
