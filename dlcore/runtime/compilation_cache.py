"""The cache of compiled programs: a later start of an experiment reads them from the disk."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import jax

from dlcore.data import cache
from dlcore.runtime import processor

FOLDER = "jax_compilation_cache_dir"  # JAX's types lack this attribute
SECONDS = 0.3  # programs that compile faster are not stored
_HIT, _MISS = "/jax/compilation_cache/cache_hits", "/jax/compilation_cache/cache_misses"
_counts = {_HIT: 0, _MISS: 0}


def keep(environment: Mapping[str, str] | None = None) -> Path | None:
    """Enables JAX's compilation cache, and returns its folder.

    The folder is the one that JAX is configured to use, as by JAX_COMPILATION_CACHE_DIR, else one
    for this kind of processor in `cache.folder()`.

    Args:
        environment: the variables among which JAX_ENABLE_COMPILATION_CACHE is looked up; None:
            those of this process.

    Returns:
        The folder; None where JAX_ENABLE_COMPILATION_CACHE disables the cache.
    """
    variables = os.environ if environment is None else environment
    if variables.get("JAX_ENABLE_COMPILATION_CACHE", "").lower() in ("0", "false"):
        return None
    if not getattr(jax.config, FOLDER):
        jax.config.update(FOLDER, str(cache.folder() / "compiled" / _processor()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", SECONDS)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    _listen()
    return Path(getattr(jax.config, FOLDER))


@functools.cache
def _listen() -> None:
    jax.monitoring.register_event_listener(_count)


def found() -> dict[str, int]:
    """Counts the programs that this process has read from the cache, and those it has stored.

    Returns:
        {"hits": number read, "misses": number compiled and stored}, since `keep`. A program that
        compiles too fast to be stored counts as neither.
    """
    return {"hits": _counts[_HIT], "misses": _counts[_MISS]}


def _count(event: str, **_: str | int) -> None:
    if event in _counts:
        _counts[event] += 1


def _processor() -> str:
    """A hash of the processor's features: programs for other processors may not run here."""
    features = processor.features(processor.cpuinfo())
    return hashlib.sha256(features.encode()).hexdigest()[:12] if features else "unknown"
