"""Hardware for which a step can be compiled: its published peak rates, and abstract devices."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
from typing import Literal

import jax
import numpy as np

from dlcore.errors import UsageError

EXTRA = "pip install -e '.[aot]' installs what compiles for them"


@dataclasses.dataclass(frozen=True)
class Hardware:
    """One kind of device.

    Attributes:
        kind: which compiler it needs.
        bf16: peak FLOP/s of matrix products in bfloat16.
        f32: the same as JAX multiplies float32 by default: in bfloat16 on TPU, in TF32 on GPU.
        memory: bytes.
        bandwidth: bytes per second of the memory.
        link: bytes per second that a device sends in a ring of neighbours (TPU: in both
            directions of one axis of the torus).
        hop: seconds of latency.
        network: bytes per second that a device sends out of its host; a TPU slice has no such
            limit.
        host: devices in a host.
        dimensions: of the torus of a TPU.
        most: the largest number of devices.
        gpu: a GPU's properties for XLA, see `_target`.
    """

    kind: Literal["tpu", "gpu", "cpu"]
    bf16: float
    f32: float
    memory: float
    bandwidth: float
    link: float
    hop: float
    network: float = 0.0
    host: int = 0
    dimensions: int = 2
    most: int = 1024
    gpu: tuple[float, ...] = ()


def _tpu(
    flops: float, memory: float, bandwidth: float, way: float, dimensions: int, most: int
) -> Hardware:
    """A TPU; `way` is the bandwidth of one link in one direction.

    The chips of an axis form a ring that is used in both directions. A hop takes about 1 us (jax-ml
    scaling book).
    """
    return Hardware(
        "tpu", flops, flops, memory, bandwidth, 2 * way, 1e-6, dimensions=dimensions, most=most
    )


def _gpu(
    bf16: float,
    tf32: float,
    bandwidth: float,
    nvlink: float,
    network: float,
    chip: tuple[float, ...],
) -> Hardware:
    """A GPU; `nvlink` is the bandwidth of all links of a device in one direction.

    NCCL's latency over NVLink and InfiniBand is several microseconds.
    """
    return Hardware("gpu", bf16, tf32, chip[0], bandwidth, nvlink, 5e-6, network, host=8, gpu=chip)


# TPUs: the "System architecture" tables of cloud.google.com/tpu/docs/{v5e,v5p,v6e}. A link's
# bandwidth is that of a chip divided by its ports (4 on a 2D torus, 6 on a 3D torus), and by two
# for one direction.
# GPUs: NVIDIA's A100, H100, H200 and B200 datasheets (dense, SXM); DGX system guides for the
# network (one NIC for each GPU); XLA's target_config/specs for (memory, multiprocessors, lanes,
# GHz, shared memory of a multiprocessor, of a block, level 2 cache, compute capability).
HARDWARE = {
    "v5e": _tpu(197e12, 16 * 2**30, 819e9, 50e9, 2, 256),
    "v5p": _tpu(459e12, 95 * 2**30, 2765e9, 100e9, 3, 6144),
    "v6e": _tpu(918e12, 32 * 2**30, 1638e9, 100e9, 2, 256),
    "a100": _gpu(
        312e12,
        156e12,
        2039e9,
        300e9,
        25e9,
        (85100068864, 108, 64, 1.41, 167936, 166912, 41943040, 8.0),
    ),
    "h100": _gpu(
        989e12,
        494e12,
        3352e9,
        450e9,
        50e9,
        (84929347584, 132, 128, 1.98, 233472, 232448, 52428800, 9.0),
    ),
    "h200": _gpu(
        989e12,
        494e12,
        4800e9,
        450e9,
        50e9,
        (151397597184, 132, 128, 1.98, 233472, 232448, 52428800, 9.0),
    ),
    "b200": _gpu(
        2250e12,
        1125e12,
        7672e9,
        900e9,
        50e9,
        (191514411008, 148, 128, 1.965, 233472, 232448, 132644864, 10.0),
    ),
}
# A simulated device is about a core: 3 GHz, two fused multiply-adds of 8 float32 per cycle. The
# bandwidths are guesses, the memory is this machine's.
CORE = Hardware("cpu", 96e9, 96e9, 0, 10e9, 5e9, 2e-5)
FORM = "write tpu:v5e:4x4, gpu:h100:8x8 (hosts x devices of a host) or cpu:8"


@dataclasses.dataclass(frozen=True)
class Topology:
    """A number of devices of one kind, and their arrangement."""

    text: str
    name: str
    hardware: Hardware
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of devices."""
        return int(np.prod(self.shape))


def parse(text: str) -> Topology:
    """Parses `--topology`, such as tpu:v5e:4x4.

    Raises:
        UsageError: there is no such hardware.
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
    """Returns the abstract devices of a topology.

    Raises:
        UsageError: the compiler of the hardware is not installed, or cannot describe it.
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
