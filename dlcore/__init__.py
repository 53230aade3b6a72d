"""A codebase of deep-learning experiments in JAX and Flax, with one training step and one loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcore.cli.main import run_file as main
    from dlcore.cli.python import run
    from dlcore.export.model import load

__version__ = "0.1.0"
__all__ = ["__version__", "load", "main", "run"]


def __getattr__(name: str) -> object:
    """Imports `main` (for `python experiments/NAME.py`), `run` or `load` when it is first used.

    So no experiment imports the command line.
    """
    if name == "main":
        from dlcore.cli.main import run_file

        return run_file
    if name == "run":
        from dlcore.cli.python import run

        return run
    if name == "load":
        from dlcore.export.model import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
