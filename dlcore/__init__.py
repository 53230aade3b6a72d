"""A codebase of deep-learning experiments in JAX and Flax, with one training step and one loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlcore.cli.main import run_file as main

__version__ = "0.1.0"
__all__ = ["__version__", "main"]


def __getattr__(name: str) -> Any:
    """Imports `main` on first use: it runs `python experiments/NAME.py`."""
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dlcore.cli.main import run_file

    return run_file
