"""Parameters as plain arrays in one .npz file, without pickle."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from dlcore import files
from dlcore.data import npz
from dlcore.errors import UsageError
from dlcore.sharding import Tree, to_host
from dlcore.train import tuning
from dlcore.train.model_file import MODEL, TUNED
from dlcore.train.step import State
from dlcore.train.subtrees import load_subtree


def check(path: Path) -> None:
    """Checks that `save` may write a file at a path; permissions are not checked.

    Raises:
        UsageError: its folder does not exist, or it is a folder or a device.
    """
    path = path.resolve()
    if os.path.exists(path) and not path.is_file():
        raise UsageError(f"cannot write {path}: a folder or device is there; name another file")
    if not os.path.isdir(path.parent):
        raise UsageError(
            f"cannot write {path}: there is no folder {path.parent}; make it, or name another file"
        )


def save(state: State, path: Path, half: bool = False) -> None:
    """Writes parameters and extra state; an array's name is its path, "params/net/Dense_0/kernel".

    An existing file is replaced once the new one is complete.

    Args:
        state: the state; its `params` are written as they are, not the averages of an optimizer.
        path: the .npz file.
        half: round floating-point numbers to float16, which halves the size and keeps three digits.

    Raises:
        UsageError: the file cannot be written, or a number is too large for float16.
    """
    leaves = jax.tree_util.tree_leaves_with_path(
        to_host({"params": state.params, "extra": state.extra})
    )
    named = {
        jax.tree_util.keystr(where, simple=True, separator="/"): np.asarray(leaf)
        for where, leaf in leaves
    }
    if half:
        named = {name: _halved(name, array) for name, array in named.items()}
    check(path)
    try:
        with files.replacing(path.resolve()) as file:
            np.savez_compressed(file, allow_pickle=False, **named)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}; free disk space or name another file"
        ) from error


def _halved(name: str, array: np.ndarray) -> np.ndarray:
    if not np.issubdtype(array.dtype, np.floating):
        return array
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    if (np.isinf(half) & np.isfinite(array)).any():
        raise UsageError(
            f"{name} has numbers above 65504, the largest of float16: write it without --half"
        )
    return half


def load(path: Path) -> dict[str, Tree]:
    """Reads the tree {"params", "extra"} that `save` wrote, or that a finished run has kept.

    Args:
        path: the .npz file; or the folder of a finished run, whose model.safetensors is read: the
            parameters of the best state, or of the last where the run has no best one; averaged
            where an optimizer keeps an average, and with the changes of `tuning` added.

    Returns:
        {"params": tree, "extra": tree} of NumPy arrays.

    Raises:
        UsageError: the file is missing, damaged, or of another kind.
    """
    tree: dict[str, Tree] = {"params": {}, "extra": {}}
    merges: tuning.Merges = {}
    advice = f"dlcore export RUN {path} writes such a file"
    try:
        if path.is_dir():
            advice = f"`dlcore resume {path}` finishes a run"
            arrays, merges = _of_run(path)
        else:
            arrays = npz.read(path)
    except UsageError as error:
        raise UsageError(f"{path} does not hold exported parameters ({error}); {advice}") from error
    for name, array in arrays.items():
        *above, last = name.split("/")
        place = tree
        for part in above:
            place = place.setdefault(part, {}) if isinstance(place, dict) else {}
        if (
            not above
            or not isinstance(place, dict)
            or last in place
            or above[0] not in ("params", "extra")
        ):
            raise UsageError(
                f"{path} does not hold exported parameters (it has an array {name!r}); {advice}"
            )
        place[last] = array
    if merges:
        with jax.ensure_compile_time_eval():  # a run's first state is computed under jit
            tree["params"] = jax.tree.map(np.asarray, tuning.merged(tree["params"], merges))
    params = tree["params"]
    pairs = itertools.permutations(params, 2)
    if separate := [name for name, base in pairs if _are_changes(params[name], params[base])]:
        raise UsageError(
            f"{path} holds {separate[0]!r}, changes of another model, apart from that model, as an"
            " older dlcore wrote them: dlcore export RUN FILE.npz writes them as one"
        )
    return tree


def _are_changes(params: Tree, base: Tree) -> bool:
    """Whether the parameters are those of a `tuning.Changes`, each of a parameter of `base`."""
    within = params.get("all") if isinstance(params, dict) and len(params) == 1 else None
    if not isinstance(within, dict) or not isinstance(base, dict):
        return False
    weights = flatten_dict(base, sep="/")
    changed = {*weights, *(path for each in weights for path in tuning.pair_of(each))}
    return flatten_dict(within, sep="/").keys() <= changed


def _of_run(folder: Path) -> tuple[dict[str, np.ndarray], tuning.Merges]:
    """What a run has kept. UsageError: it has nothing, or the file is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / MODEL, framework="np") as file:
            tuned = json.loads((file.metadata() or {}).get(TUNED, "{}"))
            merges = {name: (base, scale) for name, (base, scale) in tuned.items()}
            return {name: file.get_tensor(name) for name in file.keys()}, merges  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UsageError(f"no finished run, whose {MODEL} can be read: {error}") from error


@dataclasses.dataclass(frozen=True)
class Weights:
    """Parameters of another run, with which a model is initialised.

    Attributes:
        file: an .npz file that `dlcore export` wrote, or the folder of a finished run, see `load`.
        subtree: path of the parameters in its "params", such as "net/text".
    """

    file: Path
    subtree: str


def of(
    path: str, subtrees: Mapping[str, str], same: Mapping[str, int] | None = None
) -> dict[str, Weights]:
    """Returns the entries of `Experiment.load` for pretrained weights, {} for an empty path.

    Args:
        path: a file or a run, see `Weights`; "": nothing is pretrained.
        subtrees: {"model/path" in the experiment: path of the parameters in `path`}.
        same: fields of the config, such as the number of heads, that the shapes of parameters do
            not show; they are compared with those of the run `path`, if its folder is there.

    Raises:
        UsageError: the run was trained with another value of a field of `same`.
    """
    if not path:
        return {}
    card = Path(path) / "card.json"
    if same and card.is_file():
        config = json.loads(card.read_text(encoding="utf-8")).get("config", {})
        check_same({name: config[name] for name in same if name in config}, same)
    return {target: Weights(Path(path), subtree) for target, subtree in subtrees.items()}


def check_same(trained: Mapping[str, int], config: Mapping[str, int]) -> None:
    """Raises UsageError where a field of a config is not as pretrained weights need it.

    Args:
        trained: fields of the config with which the weights were trained.
        config: the same fields of the config that loads them, and others.
    """
    for name, value in trained.items():
        if config[name] != value:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"the pretrained weights were trained with {flag} {value}, and would compute"
                f" something else with {config[name]}: give {flag} {value} (where it is a flag), or"
                f" weights that were trained with {config[name]}, or train without them"
            )


def with_loaded(
    name: str, params: Mapping[str, Tree], loaded: Mapping[str, Weights]
) -> Mapping[str, Tree]:
    """Replaces parts of a model's parameters by those of other runs.

    Args:
        name: of the model.
        params: its parameters; they are not changed.
        loaded: {"model/path", or "model" for all: weights}; entries of other models are ignored.

    Returns:
        The parameters, with loaded arrays in the dtypes of those that they replace.

    Raises:
        UsageError: a file cannot be read, or does not fit.
    """
    for target, weights in loaded.items():
        model, _, path = target.partition("/")
        if model != name:
            continue
        if not weights.file.exists():
            raise UsageError(
                f"there is no {weights.file.absolute()}, whose parameters {name!r} begins with:"
                " name a file or a run that is there, or start in the folder below which"
                f" {weights.file} is; a run that has a checkpoint does not need it"
            )
        donor = load(weights.file)["params"]
        try:
            with_weights = load_subtree(
                params if path else {name: params}, donor, {path or name: weights.subtree}
            )
        except UsageError as error:
            raise UsageError(f"{weights.file} does not fit {name!r}: {error}") from error
        params = with_weights if path else with_weights[name]
    return params
