"""Checks calls of `ROOMS` against their annotations: types, and dtypes and shapes of arrays.

`tests/conftest.py` installs jaxtyping's import hook with `check`, before anything of these packages
is imported. Only test processes check calls, runs do not. A test that passes wrong arguments on
purpose requests the fixture `unchecked`.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import beartype
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np

# Calls of `STRICT` are checked against all annotations, those of the other packages against the
# annotations of arrays alone: a test may pass them a stand-in for a model, a file or a state.
STRICT = ("dlcore.kernels", "dlcore.models")
ROOMS = [*STRICT, "dlcore.data", "dlcore.metrics", "dlcore.tasks", "dlcore.train"]

# `Array` describes NumPy arrays too, which every function of JAX accepts.
_CHECK = beartype.beartype(
    conf=beartype.BeartypeConf(
        is_pep484_tower=True,  # an int is a float
        hint_overrides=beartype.FrozenDict({jax.Array: jax.Array | np.ndarray | np.generic}),
    )
)


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `function` with Beartype's check, which accepts NumPy arrays as arrays of JAX.

    jaxtyping calls this for functions with the annotated function's signature, which it calls
    before and after the annotated one. `Float[Array, ...]` describes arrays of JAX alone: NumPy
    arguments are converted first.
    """
    if not function.__module__.startswith(STRICT):
        hints = function.__annotations__
        if not any(map(_describes_arrays, hints.values())):
            return function
        function.__annotations__ = {
            name: hint if _describes_arrays(hint) else object for name, hint in hints.items()
        }
    checked = _CHECK(function)
    signature = inspect.signature(function)
    parameters = signature.parameters
    converted = [name for name, p in parameters.items() if _means_jax_alone(p.annotation)]
    if _means_jax_alone(signature.return_annotation):  # the result is a parameter without a type
        untyped = (Any, object, inspect.Parameter.empty)
        converted += [name for name, p in parameters.items() if p.annotation in untyped]
    if not converted:
        return checked
    positions = {index for index, name in enumerate(parameters) if name in converted}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        positional = [_as_jax(x) if i in positions else x for i, x in enumerate(args)]
        named = {name: _as_jax(x) if name in converted else x for name, x in kwargs.items()}
        return checked(*positional, **named)

    return call


def _as_jax(x: Any) -> Any:
    return jnp.asarray(x) if isinstance(x, np.ndarray | np.generic) else x


def _describes_arrays(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    if typing.get_origin(annotation) is Callable:
        return False
    return any(map(_describes_arrays, typing.get_args(annotation)))


def _means_jax_alone(annotation: Any) -> bool:
    parts = (annotation, *typing.get_args(annotation))
    kinds = [getattr(part, "array_type", part) for part in parts]
    return jax.Array in kinds and np.ndarray not in kinds
