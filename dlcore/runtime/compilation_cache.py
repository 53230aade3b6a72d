"""Compiled programs, kept from run to run: the second start of an experiment compiles nothing."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import jax

from dlcore.data import cache

FOLDER = "jax_compilation_cache_dir"  # mypy does not know the attribute
SECONDS = 0.3  # what compiles faster than this is not worth a file
_HIT, _MISS = "/jax/compilation_cache/cache_hits", "/jax/compilation_cache/cache_misses"
_counts = {_HIT: 0, _MISS: 0}


def keep(environment: Mapping[str, str] | None = None) -> Path | None:
    """Turn the cache on, in the user's cache folder unless JAX was told another one; None where JAX
    was told to have none.
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
    """How many programs of this process came from the cache, and how many were compiled."""
    return {"hits": _counts[_HIT], "misses": _counts[_MISS]}


def _count(event: str, **_: str | int) -> None:
    if event in _counts:
        _counts[event] += 1


def _processor() -> str:
    """A name for what this processor can do: a program for another one may not run here, and home
    folders are shared.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(features.encode()).hexdigest()[:12]
