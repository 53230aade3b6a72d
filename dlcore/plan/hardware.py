"""Devices for which steps can be planned, with their published peak rates."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Hardware:
    """One kind of device.

    Attributes:
        kind: which compiler it needs.
        bf16: peak FLOP/s of matrix products in bfloat16.
        f32: peak FLOP/s of matrix products of float32 arrays, which JAX computes by default in
            bfloat16 on TPU and in TF32 on GPU.
        memory: bytes.
        bandwidth: bytes per second of the memory.
        link: bytes per second that a device sends in a ring of neighbours (TPU: in both
            directions of one axis of the torus).
        hop: seconds of latency of one hop between devices.
        network: bytes per second that a device sends out of its host; 0: there is no such limit, as
            in a TPU slice.
        host: largest number of devices in a host (`topologies.parse` sets the planned one); not
            used where `network` is 0.
        dimensions: number of dimensions of the torus of a TPU.
        most: the largest number of devices that a topology can have.
        gpu: of a GPU, for XLA: (bytes of memory, multiprocessors, float32 lanes of a
            multiprocessor, clock in GHz, bytes of shared memory of a multiprocessor, and of a block
            at most, bytes of the level 2 cache, compute capability); () of others.
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
