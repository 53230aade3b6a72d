"""Settings that must be made before JAX initialises its devices."""

from __future__ import annotations

import dataclasses
from collections.abc import MutableMapping

import jax

from dlcore.options import CPU_DEVICES, RunOptions
from dlcore.runtime import cores

# On CPU, XLA's own library of fused products is half as fast as Eigen for the shapes of a
# Transformer, and computed wrong results in jaxlib 0.10.2: only its reductions are used. Versions
# outside this range may not know the flag, and would abort.
FUSION = "--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_REDUCE"
FUSION_KNOWN = ((0, 10), (0, 13))


def prepare(flags: RunOptions, batch: int, environment: MutableMapping[str, str]) -> RunOptions:
    """Sets XLA's flags and the number of simulated CPU devices.

    Args:
        flags: the run options. Their `cpu_devices` is the number of devices; where it is 0, or with
            several seeds, `simulated` chooses it.
        batch: the batch size.
        environment: the environment variables; XLA_FLAGS is updated.

    Returns:
        The run options with `cpu_devices` set; unchanged where JAX_NUM_CPU_DEVICES, XLA_FLAGS or
        DLCORE_PROCESSES of the environment determines the number.

    Raises:
        RuntimeError: JAX has initialised its devices already.
    """
    xla = environment.get("XLA_FLAGS", "")
    version = tuple(int(part) for part in jax.__version__.split(".")[:2])
    if (
        FUSION_KNOWN[0] <= version < FUSION_KNOWN[1]
        and "xla_cpu_experimental_ynn_fusion_type" not in xla
    ):
        xla = f"{xla} {FUSION}"
    if flags.deterministic and "xla_gpu_deterministic_ops" not in xla:
        xla = f"{xla} --xla_gpu_deterministic_ops=true"
    environment["XLA_FLAGS"] = xla.strip()
    decided = "JAX_NUM_CPU_DEVICES" in environment or "xla_force_host_platform_device_count" in xla
    # the user, or the launcher of several processes, has set the number
    if decided or environment.get("DLCORE_PROCESSES"):
        return flags
    # vectorised seeds have one device each, and share the cores
    requested = 0 if flags.seeds > 1 else flags.cpu_devices
    flags = dataclasses.replace(flags, cpu_devices=requested or simulated(flags, batch))
    jax.config.update("jax_num_cpu_devices", flags.cpu_devices)
    return flags


def simulated(flags: RunOptions, batch: int) -> int:
    """Chooses the number of simulated CPU devices, at least 1.

    Args:
        flags: the run options; their mesh decides, where there is one.
        batch: number of examples of a step.

    Returns:
        The size of the mesh, at most `CPU_DEVICES`; 1 for an invalid one. Without a mesh, the
        largest number of this process's cores that divides the number of seeds or, for one seed,
        whose product with `microbatches` divides the batch.
    """
    if flags.mesh:
        sizes = [size for _, _, size in (part.partition("=") for part in flags.mesh.split(","))]
        if not all(size.isdecimal() and int(size) for size in sizes):
            return 1  # sharding.mesh_shape reports the error
        count = 1
        for size in sizes:
            count *= int(size)
        return min(
            count,
            CPU_DEVICES,
            # larger meshes are for real devices; on CPU sharding.mesh_shape reports the error
        )
    own = cores.available()
    if flags.seeds > 1:
        return next(n for n in range(own, 0, -1) if flags.seeds % n == 0)
    return next(
        n for n in range(own, 0, -1) if n == 1 or batch % (n * max(1, flags.microbatches)) == 0
    )
