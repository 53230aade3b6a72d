"""Settings of the process that must be made before JAX's devices are first used."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from dlcore.options import RunOptions


def prepare(
    flags: RunOptions, batch: int, environment: MutableMapping[str, str] | None = None
) -> RunOptions:
    """Sets up the compilation cache, XLA's flags, simulated devices, and the other processes.

    Args:
        flags: the run options.
        batch: examples of a step.
        environment: where XLA's flags are set; by default that of the process.

    Returns:
        The run options with the number of simulated devices.

    Raises:
        UsageError: the environment names the other processes incompletely.
        RuntimeError: JAX has initialised its devices already.
    """
    from dlcore.runtime import compilation_cache, devices, processes

    compilation_cache.keep()
    flags = devices.prepare(flags, batch, os.environ if environment is None else environment)
    processes.join(flags.heartbeat)
    return flags
