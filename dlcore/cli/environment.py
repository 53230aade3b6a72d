"""Settings of the process that must be made before JAX's devices are first used."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from dlcore.options import RunOptions


def prepare(
    flags: RunOptions, batch: int, environment: MutableMapping[str, str] | None = None
) -> RunOptions:
    """Sets up the compilation cache, XLA's flags, simulated devices, and `jax.distributed`.

    Args:
        flags: the run options.
        batch: number of examples of a step, which determines a default number of simulated CPU
            devices (`devices.simulated`).
        environment: the variables that `devices.prepare` reads, and of which it updates XLA_FLAGS;
            None: those of this process. All else is read from this process's variables in any case.

    Returns:
        The run options, with `cpu_devices` set unless the environment determines that number.

    Raises:
        UsageError: the processes of the run are named incompletely or wrongly (`processes.found`).
        RuntimeError: JAX has initialised its devices already.
    """
    from dlcore.runtime import compilation_cache, devices, processes

    compilation_cache.keep()
    flags = devices.prepare(flags, batch, os.environ if environment is None else environment)
    processes.join(flags.heartbeat)
    return flags
