"""Hashes, norms and counts of parameters."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import jax
import numpy as np

from dlcore.runs.card_fields import Hash
from dlcore.sharding import Tree, to_host


def sha256(tree: Tree) -> str:
    """Computes the SHA-256 over path, dtype, shape and bytes of every leaf, sorted by path.

    It does not depend on how the arrays are sharded. All processes of a run must call it, as shards
    may have to be gathered.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path, leaf in sorted(
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(to_host(tree))
    ):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{path} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def mark(params: Mapping[str, Tree]) -> Hash:
    """Computes SHA-256 and L2 norm of the parameters of all models together.

    Two norms show how large a difference is where the hashes differ. All processes of a run must
    call it.

    Args:
        params: {model: its parameters}.

    Returns:
        {"sha256": 64 hexadecimal digits, "norm": float}.
    """
    host = to_host(params)
    squares = sum(
        float(np.sum(np.square(np.asarray(x, np.float64)))) for x in jax.tree.leaves(host)
    )
    return {"sha256": sha256(host), "norm": math.sqrt(squares)}


def counts(params: Mapping[str, Tree]) -> dict[str, int]:
    """Counts the parameters (array elements) of each model, and returns {model: count}."""
    return {
        name: sum(int(np.prod(x.shape)) for x in jax.tree.leaves(tree))
        for name, tree in params.items()
    }
