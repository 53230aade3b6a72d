"""Describes this machine, the installation and its data, and checks the backend's arithmetic."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.data import cache, tfds
from dlcore.runs import circumstances


def main() -> int:
    """Prints versions, hardware, prepared data and disk space, and checks the arithmetic.

    Returns:
        The exit code: 1 if the backend computes wrong numbers (`wrong_sums`), otherwise 0.
    """
    for name, version in circumstances.versions().items():
        print(f"{name:20} {version}")
    machine = circumstances.machine()
    print(
        f"{'host':20} {machine['host']['cpu']}, {machine['host']['cores']} cores,"
        f" {machine['host']['system']}"
    )
    print(
        f"{'devices':20} {machine['devices']['count']} x {machine['devices']['kind']}"
        f" ({machine['devices']['platform']})"
    )
    print(f"{'XLA flags':20} {machine['xla_flags'] or 'none'}")
    folder = tfds.data_folder()
    found = (
        # NAME/VERSION or NAME/CONFIG/VERSION; a set may be a link, which `rglob` does not follow
        sorted(
            str(p.parent.relative_to(folder))
            for depth in ("*/*", "*/*/*")
            for p in folder.glob(f"{depth}/dataset_info.json")
        )
        if folder.is_dir()
        else []
    )
    print(
        f"{'prepared data':20} {folder}:"
        f" {', '.join(found) or 'none; dlcore prepare NAME prepares a set, --offline needs none'}"
    )
    print(f"{'cache':20} {cache.folder()}")
    print(
        f"{'free disk here':20} {shutil.disk_usage(Path.cwd()).free / 2**30:.1f} GiB, writable:"
        f" {os.access(Path.cwd(), os.W_OK)}"
    )
    wrong = wrong_sums()
    print(
        f"{'arithmetic':20}"
        f" {'WRONG: ' + wrong if wrong else 'right (matrix-vector products summed under jit)'}"
    )
    return 1 if wrong else 0


def wrong_sums() -> str:
    """Checks a vmapped matrix-vector product followed by a sum under jit (jax-ml/jax#39103).

    Returns:
        A description of the error; "" if there is none.
    """
    random = np.random.default_rng(0)
    a, x = (
        random.normal(size=(32769, 3, 3)).astype(np.float32),
        random.normal(size=(32769, 3)).astype(np.float32),
    )
    got = np.asarray(
        jax.jit(lambda a, x: jnp.sum(jax.vmap(jnp.matmul)(a, x) ** 2, -1))(a, x), np.float64
    )
    want = (np.einsum("nij,nj->ni", a.astype(np.float64), x.astype(np.float64)) ** 2).sum(-1)
    error = float(np.max(np.abs(got - want) / (1 + want)))
    return (
        ""
        if error < 1e-4
        else (
            f"jaxlib {jax.lib.__version__} is off by {error:.1e}; install another version (see"
            " pyproject.toml)"
        )
    )
