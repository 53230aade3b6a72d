"""Topologies for which a step can be compiled, and their abstract devices."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re

import jax
import numpy as np

from dlcore.errors import UsageError
from dlcore.plan.hardware import CORE, HARDWARE, Hardware

EXTRA = "pip install -e '.[aot]' installs what compiles for them"


FORM = "write tpu:v5e:4x4, gpu:h100:8x8 (hosts x devices of a host) or cpu:8"


@dataclasses.dataclass(frozen=True)
class Topology:
    """A number of devices of one kind, and their arrangement.

    Attributes:
        text: the value of `--topology`.
        name: key of `HARDWARE`, or "cpu".
        hardware: the properties of one device.
        shape: of the torus of a TPU; (hosts, devices of a host) or (devices,) of GPUs; (devices,)
            of a CPU.
    """

    text: str
    name: str
    hardware: Hardware
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of devices."""
        return int(np.prod(self.shape))


def parse(text: str) -> Topology:
    """Parses `--topology`: tpu:v5e:4x4, gpu:h100:8x8 (hosts x devices), gpu:h100:8 or cpu:8.

    The memory of a CPU device is that of this machine, divided by the number of devices.

    Raises:
        UsageError: the text has another form, there is no such hardware, or it has no such shape or
            number of devices.
    """
    kind, _, rest = text.partition(":")
    name, _, sizes = rest.partition(":")
    if kind == "cpu":
        name, sizes = "cpu", rest
    if kind not in ("tpu", "gpu", "cpu") or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", sizes):
        raise UsageError(f"--topology {text!r} is none: {FORM}")
    shape = tuple(int(size) for size in sizes.split("x"))
    if kind == "cpu":
        if len(shape) != 1 or shape[0] > 64:
            raise UsageError(
                f"--topology {text!r}: up to 64 devices are simulated on a CPU; write for example"
                " cpu:8"
            )
        return Topology(
            text, name, dataclasses.replace(CORE, memory=_memory(text) / shape[0]), shape
        )
    known = [each for each, what in HARDWARE.items() if what.kind == kind]
    if name not in known:
        raise UsageError(
            f"--topology {text!r}: there is no {kind} {name!r} in the table; there are"
            f" {', '.join(known)}"
        )
    found = Topology(text, name, HARDWARE[name], shape)
    if kind == "tpu" and len(shape) != found.hardware.dimensions:
        example = "4x4x4" if found.hardware.dimensions == 3 else "4x4"
        raise UsageError(
            f"--topology {text!r}: the chips of a {name} stand in {found.hardware.dimensions}"
            f" dimensions, as {name}:{example}"
        )
    if kind == "gpu" and (len(shape) > 2 or shape[-1] > found.hardware.host):
        raise UsageError(
            f"--topology {text!r}: a host has up to {found.hardware.host} of {name}; write hosts x"
            " devices, as 8x8"
        )
    if kind == "gpu":
        found = dataclasses.replace(
            found, hardware=dataclasses.replace(found.hardware, host=shape[-1])
        )
    if found.count > found.hardware.most:
        raise UsageError(
            f"--topology {text!r} has {found.count} devices; there are up to {found.hardware.most}"
            f" of {name} together"
        )
    return found


def _memory(text: str) -> int:
    """The bytes of this machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows
        raise UsageError(
            f"--topology {text!r}: this system does not say how much memory it has; plan for a TPU"
            " or GPU"
        ) from None


COMPILERS = {
    "tpu": ("libtpu",),
    "gpu": ("jax_plugins.xla_cuda12", "jax_plugins.xla_cuda13"),
    "cpu": ("jax",),
}
"""modules that have the compiler of a kind of hardware; one of them is enough"""


def devices(topology: Topology) -> list[jax.Device]:
    """Returns the devices of a topology, for which a plan compiles programs.

    Returns:
        Abstract devices of a TPU or GPU topology, on which nothing can run; for "cpu" the first CPU
        devices of this process. For a TPU, environment variables of libtpu are set.

    Raises:
        UsageError: the compiler of the hardware is not installed, or cannot describe it; or this
            process has too few CPU devices.
    """
    if topology.hardware.kind == "cpu":
        return _simulated(topology.count)
    from jax.experimental import topologies

    options: dict[str, object] = {}
    if topology.hardware.kind == "tpu":
        _need_compiler(topology)
        # libtpu must not query the metadata server, nor take the lock of a chip.
        here = {"TPU_WORKER_HOSTNAMES": "localhost", "TPU_ACCELERATOR_TYPE": "v5litepod-16"}
        os.environ.update(TPU_SKIP_MDS_QUERY="1", ALLOW_MULTIPLE_LIBTPU_LOAD="1", **here)
        platform, name = "tpu", f"{topology.name}:{'x'.join(map(str, topology.shape))}"
        if any(size % 2 for size in topology.shape[:2]):
            options = {"chips_per_host_bounds": (1, 1, 1)}
    else:
        _need_compiler(topology)
        hosts = (1, *topology.shape)[-2]
        platform, name = "cuda", topology.name
        options = {
            "target_config": _target(topology.hardware),
            "topology": f"1x{hosts}x{topology.shape[-1]}",
        }
    try:
        return list(topologies.get_topology_desc(name, platform=platform, **options).devices)
    # JAX raises NotImplementedError for a platform whose compiler cannot describe hardware that is
    # not there.
    except (jax.errors.JaxRuntimeError, NotImplementedError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"--topology {topology.text!r} cannot be compiled for ({reason}); try tpu:v5e:4x4 or"
            " gpu:h100:8x8"
        ) from error


def _simulated(count: int) -> list[jax.Device]:
    here = jax.devices("cpu")
    if len(here) < count:
        raise UsageError(
            f"--topology cpu:{count}: this process has {len(here)} devices;"
            f" JAX_NUM_CPU_DEVICES={count} simulates more"
        )
    return here[:count]


def _need_compiler(topology: Topology) -> None:
    if not compilable(topology.hardware.kind):
        raise UsageError(
            f"--topology {topology.text!r} needs the compiler of that hardware, which is not"
            f" installed: {EXTRA}"
        )


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def compilable(kind: str) -> bool:
    """Returns whether the compiler for "tpu", "gpu" or "cpu" is installed."""
    return any(_installed(module) for module in COMPILERS[kind])


def _target(hardware: Hardware) -> str:
    """XLA's text description of a GPU (stream_executor/device_description.proto).

    A field that is left out is 0. Without `memory_bandwidth` reads appear to take forever, so that
    XLA gains equally by any fusion: programs took minutes to compile, and JAX 0.10.1 aborted on
    some.
    """
    memory, cores, fpus_per_core, ghz, shared, block, cache, capability = hardware.gpu
    return (
        "gpu_device_info { threads_per_block_limit: 1024 threads_per_warp: 32"
        f" shared_memory_per_block: 49152 shared_memory_per_core: {shared:.0f}"
        f" threads_per_core_limit: 2048 core_count: {cores:.0f} fpus_per_core: {fpus_per_core:.0f}"
        " block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535"
        " thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64"
        f" memory_bandwidth: {hardware.bandwidth:.0f} l2_cache_size: {cache:.0f} clock_rate_ghz:"
        f" {ghz} device_memory_size: {memory:.0f} shared_memory_per_block_optin: {block:.0f}"
        f" cuda_compute_capability {{ major: {capability:.0f} }} registers_per_core_limit: 65536"
        ' registers_per_block_limit: 65536 } platform_name: "CUDA" dnn_version_info { major: 9'
        " minor: 8 } runtime_version { major: 12 minor: 8 }"
    )
