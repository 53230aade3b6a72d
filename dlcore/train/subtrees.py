"""Parts of a model's parameters, replaced by those of a trained model."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from dlcore.errors import UsageError
from dlcore.sharding import Tree


def load_subtree(
    params: Mapping[str, Tree], donor: Mapping[str, Tree], parts: Mapping[str, str]
) -> dict[str, Tree]:
    """Returns parameters in which subtrees are replaced by those of a donor.

    Args:
        params: the parameters; they are not changed. Replaced arrays keep their dtypes.
        donor: parameters that are copied, such as the tree "params" that `load` returned.
        parts: {path in params: path in donor}, such as "encoder/block_0".

    Raises:
        UsageError: a path or an array is missing on one side, or shapes differ.
    """
    out = jax.tree.map(lambda x: x, dict(params))  # the dicts are copied, the arrays are not
    for here, there in parts.items():
        target, source = _at(params, here, "the model"), _at(donor, there, "the trained model")
        expected, actual = (
            jax.tree.map(lambda x: tuple(x.shape), tree) for tree in (target, source)
        )
        if expected != actual:
            raise UsageError(
                f"{there} of the trained model has other sizes than {here} of this one:"
                f" {_difference(expected, actual)}. Give the flags of sizes, such as --width and"
                " --layers, of its training, or train without it"
            )
        *above, last = here.split("/")
        parent = out
        for name in above:
            parent = parent[name]
        parent[last] = jax.tree.map(lambda x, y: jnp.asarray(y, x.dtype), target, source)
    return out


def _at(tree: Tree, path: str, whose: str) -> Tree:
    for name in path.split("/"):
        if not isinstance(tree, Mapping) or name not in tree:
            names = ", ".join(tree) if isinstance(tree, Mapping) else "nothing"
            raise UsageError(
                f"{whose} has no {path!r}: where {name!r} should be, it has {names}. Name a run of"
                " the kind that this experiment begins with"
            )
        tree = tree[name]
    return tree


def _difference(expected: Tree, actual: Tree) -> str:
    """The first array whose shape differs, as text."""
    flat = [
        {jax.tree_util.keystr(path, simple=True, separator="/"): shape for path, shape in leaves}
        for leaves in (
            jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: isinstance(x, tuple))
            for tree in (expected, actual)
        )
    ]
    name = next(
        name for name in sorted({*flat[0], *flat[1]}) if flat[0].get(name) != flat[1].get(name)
    )
    return f"{name or 'it'} is {flat[1].get(name, 'missing')}, not {flat[0].get(name, 'missing')}"
