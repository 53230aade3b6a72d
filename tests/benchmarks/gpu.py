"""Measures an NVIDIA GPU: GPT-2 (124M) in bfloat16, an LSTM, long attention; and compiled PyTorch.

Before them it measures what the GPU reaches at all: a product of large matrices, and a copy.

On other devices the same code runs at a tiny size, as a test, and nothing is reported as measured.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.rows import attention_8192, gpt, lstm

# Dense bfloat16 operations a second, from NVIDIA's data sheets (the SXM form where there are
# several).
PEAK = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
}


class Size(NamedTuple):
    """Sizes of the rows.

    Attributes:
        gpt, lstm: of these rows.
        lengths, heads, d: of attention: lengths, number of heads, width of a head.
        steps: number of steps of a round.
    """

    gpt: gpt.Size
    lstm: lstm.Size
    lengths: tuple[int, ...]
    heads: int
    d: int
    steps: int


FULL = Size(gpt.Size(12, 12, 768, 1024, 50257, 16), lstm.FULL, (4096, 16384, 65536), 16, 64, 20)
TINY = Size(gpt.TINY, lstm.TINY, (12,), 2, 8, 1)


def seconds(step: Callable[[], Any], steps: int) -> float:
    """Measures the seconds of a step: the median over five rounds, after one that compiles."""
    rounds = []
    for _ in range(6):
        start_time = time.perf_counter()
        for _ in range(steps):
            last = step()
        float(last)
        rounds.append((time.perf_counter() - start_time) / steps)
    return float(np.median(rounds[1:]))  # the first one compiles


def in_torch(make: Callable[[], Any], half: bool) -> Callable[[], Any] | None:
    """Returns a PyTorch contender on JAX's kind of device, compiled on a GPU.

    Args:
        make: () -> the step.
        half: run it in bfloat16, by autocast.

    Returns:
        The step; None where PyTorch is missing, or has no CUDA although JAX has a GPU.
    """
    if not importlib.util.find_spec("torch"):
        return None
    import jax
    import torch

    from tests.benchmarks import torched

    kind = "cuda" if jax.default_backend() == "gpu" else "cpu"
    if kind == "cuda" and not torch.cuda.is_available():
        return None
    torch.set_float32_matmul_precision("high")  # TF32, as XLA multiplies
    torched.COMPILED = kind == "cuda"
    with torch.device(kind):
        step = make()

    def run() -> Any:
        with torch.autocast(kind, torch.bfloat16) if half else contextlib.nullcontext():
            return step()

    return run


def attention(size: attention_8192.Size) -> Any:
    """Returns a step of dlcore's causal attention in bfloat16, with gradients."""
    import jax.numpy as jnp

    from dlcore.kernels.attention import causal_attention
    from tests.benchmarks import flaxed

    x = jnp.asarray(attention_8192.given(size), jnp.bfloat16)
    loss = lambda x: (causal_attention(x[:, 0], x[:, 1], x[:, 2]).astype(jnp.float32) ** 2).mean()  # noqa: E731
    return flaxed.slope(loss, x)


def ceilings(side: int, elements: int) -> tuple[float, float]:
    """Measures the FLOP/s of a bfloat16 product and the bytes per second, read and written.

    Args:
        side: rows and columns of both factors.
        elements: length of the float32 array that is read and written.
    """
    import jax
    import jax.numpy as jnp

    a, b = jax.random.normal(jax.random.key(0), (2, side, side), jnp.bfloat16)
    x = jax.random.normal(jax.random.key(1), (elements,))
    product, changed = jax.jit(jnp.matmul), jax.jit(lambda x: x + 1)
    return (
        2 * side**3 / seconds(lambda: product(a, b)[0, 0], 20),
        8 * elements / seconds(lambda: changed(x)[0], 20),
    )


def measure(size: Size) -> Iterator[dict[str, Any]]:
    """Measures all rows, one by one.

    Yields:
        For each row {"row": name, "dlcore": milliseconds of a step, "torch_compile": the same or
        None without PyTorch, "tokens": of a step}.
    """
    made: list[tuple[str, int, Any, Any, bool]] = [
        (
            "GPT-2",
            size.gpt.batch * size.gpt.context,
            lambda: gpt.dlcore(size.gpt, "bf16"),
            lambda: gpt.torch(size.gpt),
            True,
        ),
        (
            "LSTM",
            size.lstm.batch * size.lstm.length,
            lambda: lstm.dlcore(size.lstm),
            lambda: lstm.torch(size.lstm),
            False,
        ),
    ]
    for length in size.lengths:
        own = attention_8192.Size(size.heads, size.d, length, 1)
        made.append(
            (
                f"attention {length}",
                length,
                lambda own=own: attention(own),
                lambda own=own: attention_8192.torch(own),
                True,
            )
        )
    for name, tokens, ours, theirs, half in made:
        step_seconds = seconds(ours(), size.steps)
        other = in_torch(theirs, half)
        torch_ms = None if other is None else 1e3 * seconds(other, size.steps)
        found = {"row": name, "dlcore": 1e3 * step_seconds, "torch_compile": torch_ms}
        yield found | {"tokens": tokens}


def mfu(size: gpt.Size, tokens_a_second: float, peak: float) -> float:
    """Computes model FLOPs utilisation: the fraction of peak FLOP/s that a GPT's training uses.

    A token counts as 6 FLOPs per parameter of a kernel, and 12 layers x width x context for
    attention (Chowdhery et al. 2022, appendix B).
    """
    kernels = 12 * size.layers * size.width**2 + size.vocabulary * size.width
    return tokens_a_second * (6 * kernels + 12 * size.layers * size.width * size.context) / peak


def main() -> None:
    """Prints the table; without an NVIDIA GPU, runs the tiny sizes and prints no numbers."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch wants some memory too
    import jax

    kind = jax.devices()[0].device_kind
    if (
        jax.default_backend() != "gpu"
        or "cuda" not in jax.devices()[0].client.platform_version.lower()
    ):
        ceilings(8, 8)
        rows = ", ".join(found["row"] for found in measure(TINY))
        print(f"GPU: not measured, this is {kind}; {rows} ran at a tiny size")
        return
    peak = next((peak for name, peak in PEAK.items() if name in kind), None)
    reached, copied = ceilings(8192, 1 << 30)
    print(f"{kind}: {reached / 1e12:.0f} TFLOP/s, {copied / 1e12:.2f} TB/s", flush=True)
    for found in measure(FULL):
        rate = found["tokens"] / found["dlcore"] * 1e3
        cells = [f"{found['row']:16} {found['dlcore']:9.3f} ms, {rate:,.0f} tokens/s"]
        if found["row"] == "GPT-2":
            cells.append(
                f"MFU {mfu(FULL.gpt, rate, peak):.3f}" if peak else f"no peak known for {kind}"
            )
            cells.append(f"{mfu(FULL.gpt, rate, reached):.3f} of the product's rate")
        other = found["torch_compile"]
        cells.append(
            f"over torch_compile {found['dlcore'] / other:.2f}" if other else "no PyTorch with CUDA"
        )
        print(", ".join(cells), flush=True)
