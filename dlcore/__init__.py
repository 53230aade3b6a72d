"""Every classic family of deep learning as an experiment of one page, on one step and one loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlcore.cli.main import run_file as main

__version__ = "0.1.0"
__all__ = ["__version__", "main"]


def __getattr__(name: str) -> Any:
    """`main`, what `python experiments/NAME.py` runs: found on first use, so that no experiment
    imports the command line.
    """
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dlcore.cli.main import run_file

    return run_file
