"""Compiled programs are kept from run to run, where the user said, and counted."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from dlcore.runtime import compilation_cache
from tests.conftest import CACHE

OPTIONS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture
def _restored() -> Iterator[None]:
    before = {name: getattr(jax.config, name) for name in OPTIONS}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_the_cache_folder_that_jax_has_is_kept() -> None:
    assert compilation_cache.keep({}) == CACHE


@pytest.mark.usefixtures("_restored")
def test_without_one_it_is_the_users_cache_folder_by_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    found = compilation_cache.keep({})
    assert found
    assert found.parent == tmp_path / "compiled"
    assert getattr(jax.config, compilation_cache.FOLDER) == str(found)
    smallest = "jax_persistent_cache_min_entry_size_bytes"
    assert getattr(jax.config, smallest) == -1, (
        "0 leaves the choice to the file system; -1 keeps entries of any size"
    )


def test_it_can_be_turned_off() -> None:
    assert compilation_cache.keep({"JAX_ENABLE_COMPILATION_CACHE": "false"}) is None


def test_hits_and_misses_are_counted() -> None:
    compilation_cache.keep({})
    number = float(uuid.uuid4().int % 10**6)  # a program that no run before has compiled

    x = jnp.ones(3)

    def counted() -> tuple[int, int]:
        before = compilation_cache.found()
        jax.jit(lambda x: x * number + 1)(x).block_until_ready()
        after = compilation_cache.found()
        return after["hits"] - before["hits"], after["misses"] - before["misses"]

    assert counted() == (0, 1)
    assert counted() == (1, 0)
