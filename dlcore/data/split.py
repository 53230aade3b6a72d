"""Splits of examples: by hash, by class, by group, or in folds of a cross-validation.

Each function returns indices, {"train": ..., "validation": ..., "test": ...}, ascending int64
arrays that have no index in common; `folds` returns a list of such, without validation.
`from_arrays` makes splits of them:

    splits = split.from_arrays({"image": images, "label": labels}, split.stratified(labels))
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Integer

from dlcore.data import source as sources
from dlcore.data.facts import Facts
from dlcore.data.ragged import Limit, Longer, check_names, ragged
from dlcore.data.source import Source
from dlcore.data.splits import Splits
from dlcore.errors import UsageError

Parts = dict[str, np.ndarray]
"""Indices of examples, int64, by the name of their split."""
Labels = np.ndarray | Sequence[str] | Sequence[int]


def by_hash(keys: Sequence[bytes | str], validation: float = 0.1, test: float = 0.1) -> Parts:
    """Splits by the SHA-256 of each example's key, so that adding examples moves none.

    Examples with equal keys are in the same split. The fractions are met on average: a split of few
    examples may be empty.

    Args:
        keys: what identifies an example, such as its content or its path; str counts as UTF-8.
        validation, test: fractions of the hash values; 0: the split is empty.

    Returns:
        {split: indices} of train, validation and test, int64, ascending.

    Raises:
        UsageError: a fraction below 0, or fractions that leave nothing for training.
    """
    check_fractions(validation, test)
    values = np.array([_position(key) for key in keys], np.float64)
    held_out = {
        "validation": (test <= values) & (values < test + validation),
        "test": values < test,
    }
    return _parts(len(values), {name: np.flatnonzero(each) for name, each in held_out.items()})


def _position(key: bytes | str) -> float:
    """The first 53 bits of a key's SHA-256, as a number in [0, 1)."""
    data = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else bytes(key)
    return (int.from_bytes(hashlib.sha256(data).digest()[:8], "big") >> 11) / 2**53


def stratified(
    labels: Labels,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> Parts:
    """Splits at random so that each class has the same fraction in every split.

    Args:
        labels: the class of each example [N].
        validation, test: fractions of the examples, rounded to whole ones; 0: the split is empty.
        seed: of the shuffle (`sklearn.model_selection.StratifiedShuffleSplit`).

    Returns:
        {split: indices} of train, validation and test, int64, ascending.

    Raises:
        UsageError: a fraction below 0, fractions that leave nothing for training, a class with
            fewer examples than there are splits, or a split with fewer examples than there are
            classes.
    """
    from sklearn.model_selection import StratifiedShuffleSplit

    check_fractions(validation, test)
    names, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    needed = 1 + (validation > 0) + (test > 0)
    if len(counts) and counts.min() < needed:
        raise UsageError(
            f"class {names[counts.argmin()]!s} has {counts.min()} examples, too few for {needed}"
            " splits: merge it with another, or split by hash"
        )
    rest, held_out = np.arange(len(classes)), {}
    for name, fraction in (("test", test), ("validation", validation)):
        if size := _size(len(classes), fraction, len(names), name):
            chosen = StratifiedShuffleSplit(1, test_size=size, random_state=seed)
            try:
                inside, outside = next(chosen.split(rest, classes[rest]))
            except ValueError as error:  # too few examples of a class, or for all classes
                raise UsageError(
                    f"the {name} split cannot have every class ({error}): merge classes, change the"
                    " fractions, or split by hash"
                ) from error
            rest, held_out[name] = rest[inside], rest[outside]
    return _parts(len(classes), held_out)


def _size(count: int, fraction: float, classes: int, name: str) -> int:
    """The number of examples of a split. UsageError: fewer than there are classes."""
    size = round(count * fraction)
    if fraction and size < classes:
        raise UsageError(
            f"{fraction:g} of {count} examples are {size}, fewer than the {classes} classes that"
            f" {name} must have: give a larger fraction, or split by hash"
        )
    return size


def by_group(
    groups: Labels,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> Parts:
    """Splits at random so that no group, such as a patient or a speaker, is in two splits.

    Args:
        groups: the group of each example [N].
        validation, test: fractions of the groups (not of the examples), rounded, one group at
            least; 0: the split is empty.
        seed: of the shuffle.

    Returns:
        {split: indices} of train, validation and test, int64, ascending.

    Raises:
        UsageError: a fraction below 0, or fractions that leave no example or no group for training.
    """
    check_fractions(validation, test)
    names, of_example = np.unique(groups, return_inverse=True)
    sizes = {
        name: max(1, round(len(names) * fraction)) if fraction else 0
        for name, fraction in (("validation", validation), ("test", test))
    }
    if sum(sizes.values()) >= len(names):
        raise UsageError(
            f"{len(names)} groups are too few for {1 + sum(map(bool, sizes.values()))} splits: each"
            " needs one of its own"
        )
    # RandomState: NumPy froze its stream for good, which it does not promise for default_rng.
    order = np.random.RandomState(seed).permutation(len(names))
    first, second = sizes["test"], sizes["test"] + sizes["validation"]
    chosen = {"test": order[:first], "validation": order[first:second]}
    held_out = {name: np.flatnonzero(np.isin(of_example, each)) for name, each in chosen.items()}
    return _parts(len(of_example), held_out)


def folds(
    count: int,
    k: int,
    seed: int,
    labels: Labels | None = None,
    groups: Labels | None = None,
) -> list[Parts]:
    """Computes the k splits of a cross-validation; each example is for test in exactly one.

    Args:
        count: the number of examples.
        k: the number of folds, 2 at least.
        seed: of the shuffle (`sklearn.model_selection`).
        labels: classes [count], of which each fold has the same fraction, with groups as nearly as
            these allow; None: folds do not depend on classes.
        groups: groups [count], each of which lies in one fold as a whole; None: none.

    Returns:
        [{"train": indices, "test": indices}] of length k, int64, ascending.

    Raises:
        UsageError: fewer than two folds; more folds than examples, groups or examples of the
            smallest class; labels or groups of another length.
    """
    from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold

    for name, given in (("labels", labels), ("groups", groups)):
        if given is not None and len(given) != count:
            raise UsageError(f"{len(given)} {name} of {count} examples: give one an example")
    limits = {"examples": count}
    if labels is not None:
        limits["examples of the smallest class"] = int(
            np.unique(labels, return_counts=True)[1].min()
        )
    if groups is not None:
        limits["groups"] = len(np.unique(groups))
    name, most = min(limits.items(), key=lambda each: each[1])
    if not 2 <= k <= most:
        raise UsageError(f"{k} folds of {most} {name}: choose from 2 to {most}")
    if groups is None:
        kind = KFold if labels is None else StratifiedKFold
    else:  # with one class for all, it balances the number of examples
        kind, labels = StratifiedGroupKFold, np.zeros(count) if labels is None else labels
    cut = kind(k, shuffle=True, random_state=seed).split(np.zeros(count), labels, groups)
    return [{"train": inside, "test": outside} for inside, outside in cut]


def from_arrays(
    contents: Mapping[str, np.ndarray | Sequence[np.ndarray]],
    parts: Mapping[str, Integer[np.ndarray, " _"]],
    name: str = "arrays",
    version: str = "0",
    facts: Facts | None = None,
    limits: Mapping[str, Limit] | None = None,
    longer: Longer = "error",
) -> Splits:
    """Returns splits of arrays in memory, cut by the indices of one of this file's functions.

    Args:
        contents: {field: array [N, ...]}, one row an example; a field of `limits` has one array for
            each example.
        parts: {split: indices of its examples}; an empty split is left out.
        name, version: what the data are called in a run's card.
        facts: what is known of them, such as `Facts(classes=[...])`.
        limits: {field whose length or shape varies: its size in a batch} (`dlcore.data.ragged`).
        longer: "error", or "truncate": keep the first values of an example above its limit.

    Raises:
        UsageError: no arrays or arrays of different lengths, an index outside them, an empty or
            missing `train`, a limit below 1 or of no field; in a field of `limits`, examples that
            differ in dtype or in other axes, or one above the limit with `longer` "error".
    """
    check_names(name, limits or {}, contents)
    lengths = {field: len(array) for field, array in contents.items()}
    if len(set(lengths.values())) != 1:
        raise UsageError(f"{name} needs arrays of one length and has {lengths}")
    count = next(iter(lengths.values()))
    found: dict[str, Source] = {}
    for part, index in parts.items():
        if not len(index):
            continue
        if np.min(index) < 0 or np.max(index) >= count:
            raise UsageError(f"split {part!r} of {name} has an index outside its {count} examples")
        lists = {field: [contents[field][i] for i in index] for field in limits or {}}
        rows = {
            field: np.asarray(array)[index]
            for field, array in contents.items()
            if field not in lists
        }
        found[part] = (
            ragged(name, version, part, {**rows, **lists}, limits, longer)
            if limits
            else sources.arrays(name, version, part, rows)
        )
    return Splits.of(found, facts=facts)


def check_fractions(validation: float, test: float) -> None:
    """Checks the fractions that are held out of training.

    Raises:
        UsageError: one is below 0, or they leave nothing for training.
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise UsageError(
            f"validation {validation:g} and test {test:g} must be fractions from 0 that leave"
            " something for training"
        )


def _parts(count: int, held_out: Mapping[str, np.ndarray]) -> Parts:
    """All three splits, ascending: what is not held out is for training."""
    empty = np.zeros(0, np.int64)
    found = {name: np.sort(held_out.get(name, empty)) for name in ("validation", "test")}
    outside = np.concatenate(list(found.values()))
    return {"train": np.setdiff1d(np.arange(count, dtype=np.int64), outside), **found}
