"""A run's best model as one safetensors file: parameters and extra state by path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlcore import files
from dlcore.errors import UsageError
from dlcore.sharding import Tree, to_host
from dlcore.train.model import Model, init_of
from dlcore.train.step import State

MODEL = "model.safetensors"  # its name in a run's folder
TUNED = "tuned"  # in the header: `tuning.merges` as JSON, by which `weights.load` adds the changes
FORMAT = 1

# an abstract batch, see `Splits.template`
Template = Mapping[str, jax.ShapeDtypeStruct]


class Saved(NamedTuple):
    """The contents of a model file.

    Attributes:
        state: step, parameters and extra state; `opt` is empty.
        metadata: {name: text} of the header, with "format" and "step".
    """

    state: State
    metadata: dict[str, str]


def save(state: State, path: Path, **metadata: str) -> None:
    """Writes parameters and extra state; an existing file is replaced once the new one is complete.

    Args:
        state: the state; its `params` are written as they are, so that for averaged parameters
            `evaluate.averaged(state)` is passed.
        path: the file.
        metadata: further entries of the header, beside "format" and "step".

    Raises:
        UsageError: the file cannot be written.
    """
    from safetensors import numpy as safetensors

    # The library writes the memory of an array as it lies, which must be C order.
    named = {name: np.asarray(leaf, order="C") for name, leaf in _named(state).items()}
    about = {**metadata, "format": str(FORMAT), "step": str(int(state.step))}
    try:
        with files.replacing(path) as file:
            file.write(safetensors.save(named, about))
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}; free disk space or grant write permission"
        ) from error


def _named(state: State) -> dict[str, np.ndarray]:
    """{"params/net/Dense_0/kernel": array}."""
    tree = to_host({"params": state.params, "extra": state.extra})
    return {_path(where): leaf for where, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _path(where: jax.tree_util.KeyPath) -> str:
    return jax.tree_util.keystr(where, simple=True, separator="/")


def load(path: Path, models: Iterable[Model], template: Template) -> Saved:
    """Reads the state that `save` wrote, onto the device.

    Args:
        path: the file.
        models: of the experiment.
        template: an abstract batch, for the shapes of the parameters (`Splits.template`).

    Returns:
        The state, whose `opt` is empty, and the metadata.

    Raises:
        UsageError: the file is missing, damaged, of a later format, or of other models.
    """
    arrays, metadata = _read(path)
    shapes = _shapes(models, template)
    expected = {_path(where): leaf for where, leaf in jax.tree_util.tree_leaves_with_path(shapes)}
    for name in sorted({*expected, *arrays}):
        sizes = [each[name].shape if name in each else None for each in (arrays, expected)]
        if sizes[0] != sizes[1]:
            found, needed = ("missing" if size is None else f"{size}" for size in sizes)
            raise UsageError(
                f"{path} does not fit the experiment: {name} is {found} in the file and {needed} in"
                " the model: the experiment file or dlcore has changed since; use the version that"
                " trained it, or train again"
            )
    tree = jax.tree_util.tree_map_with_path(
        lambda where, leaf: jnp.asarray(arrays[_path(where)], leaf.dtype), shapes
    )
    step = jnp.asarray(int(metadata["step"]), jnp.int32)
    return Saved(State(step, tree["params"], tree["extra"], {}), metadata)


def _shapes(models: Iterable[Model], template: Template) -> dict[str, dict[str, Tree]]:
    """The abstract parameters and extra state of the models."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    made = {
        name: dict(jax.eval_shape(initialise, key, dict(template)))
        for name, initialise in init_of(models).items()
    }
    params = {name: variables.pop("params") for name, variables in made.items()}
    return {"params": params, "extra": {name: rest for name, rest in made.items() if rest}}


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    way = "restore it from a copy, or take --last, which reads a checkpoint"
    if not path.is_file():
        raise UsageError(f"{path} is no file; {way}")
    try:
        with safe_open(path, framework="np") as file:
            metadata = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); {way}") from error
    form = metadata.get("format", "")
    if not form.isdecimal() or not metadata.get("step", "").isdecimal():
        raise UsageError(f"{path} is no model of a run: its header has no format and step; {way}")
    if int(form) > FORMAT:
        raise UsageError(
            f"{path} has format {form}, and this dlcore reads up to {FORMAT}: update dlcore"
        )
    return arrays, metadata
