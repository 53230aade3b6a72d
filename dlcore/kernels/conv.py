"""Convolutions of images in the forms that run fast on CPU; elsewhere XLA's own.

What was fastest on CPU, 3x3 at 14x14 to 32x32, batch 64 to 128, milliseconds against XLA's:

| channels             | forward              | slope by the image   | slope by the kernel
                       |
|----------------------|----------------------|----------------------|------------------------------|
| in: 1 to 4           | patches, 0.5 of XLA  | spread, 0.3 of XLA   | XLA
                       |
| out: 1 to 4          | spread, 0.3 of XLA   | patches, 0.5 of XLA  | patches of the slope, 0.4
                       |
| more of both         | XLA                  | XLA                  | XLA (patches took 2 to 6)
                       |
| transposed, 2 x 2    | phases, 0.7 of XLA   | forward and both slopes together: phases, 0.07 of
                       XLA |
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.derivatives import with_backward

FEW = 36  # weights of one output (or input) channel, up to which a kernel is few
_LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(x: Array, kernel: Array) -> Array:
    """sum_ij x[h + i - (kh - 1)/2, w + j - (kw - 1)/2] kernel[i, j], zeros around: the convolution
    of `nn.Conv` with its defaults.

    x [batch, h, w, c], kernel [kh, kw, c, o] -> [batch, h, w, o], dtype kept. See the module's
    table of what runs when. Forward mode: `derivatives.plain_derivatives`.
    """
    kh, kw, c, o = kernel.shape
    few = kh % 2 == kw % 2 == 1 and kh * kw * min(c, o) <= FEW
    return _few(x, kernel) if few else _xla(x, kernel)


def _xla(x: Array, kernel: Array) -> Array:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_LAYOUT)


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _few(x, kernel), (x, kernel)


def _backward(saved: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = saved
    if kernel.shape[2] <= kernel.shape[3]:
        slope = _kernel_slope(x, kernel, dy)
    else:
        slope = jax.lax.platform_dependent(
            x, kernel, dy, cpu=_slope_by_patches, default=_kernel_slope
        )
    return conv(dy, kernel[::-1, ::-1].swapaxes(2, 3)), slope


@with_backward(_forward, _backward)
def _few(x: Array, kernel: Array) -> Array:
    on_cpu = _by_patches if kernel.shape[2] <= kernel.shape[3] else _by_spreading
    return jax.lax.platform_dependent(x, kernel, cpu=on_cpu, default=_xla)


def _shifted(x: Array, kh: int, kw: int) -> list[Array]:
    """x [batch, h, w, n] as each place of a kernel sees it."""
    h, w = x.shape[1:3]
    around = jnp.pad(x, ((0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2), (0, 0)))
    return [around[:, i : i + h, j : j + w] for i in range(kh) for j in range(kw)]


def _product(a: Array, b: Array) -> Array:
    """a [n, k] b [k, m], summed in float32 at least and left so."""
    return jnp.matmul(a, b, preferred_element_type=jnp.promote_types(a.dtype, jnp.float32))


def _by_patches(x: Array, kernel: Array) -> Array:
    """All places that an output sees side by side, then one product."""
    kh, kw, _, o = kernel.shape
    seen = jnp.concatenate(_shifted(x, kh, kw), -1)
    return (
        _product(seen.reshape(-1, seen.shape[-1]), kernel.reshape(-1, o))
        .astype(x.dtype)
        .reshape(*x.shape[:3], o)
    )


def _by_spreading(x: Array, kernel: Array) -> Array:
    """One product with the weights of all places, then what each place contributes, moved to where
    it belongs.
    """
    kh, kw, c, o = kernel.shape
    parts = _product(x.reshape(-1, c), kernel.transpose(2, 0, 1, 3).reshape(c, -1)).reshape(
        *x.shape[:3], kh * kw * o
    )
    moved = _shifted(parts, kh, kw)
    y = sum(part[..., place * o : (place + 1) * o] for place, part in enumerate(moved))
    return jnp.asarray(y).astype(x.dtype)


def _kernel_slope(x: Array, kernel: Array, dy: Array) -> Array:
    return jax.vjp(lambda kernel: _xla(x, kernel), kernel)[1](dy)[0]


def _slope_by_patches(x: Array, kernel: Array, dy: Array) -> Array:
    kh, kw, c, o = kernel.shape
    seen = jnp.concatenate(_shifted(dy, kh, kw), -1)
    slope = _product(x.reshape(-1, c).T, seen.reshape(-1, seen.shape[-1])).reshape(c, kh, kw, o)
    return slope[:, ::-1, ::-1].transpose(1, 2, 0, 3).astype(kernel.dtype)


def transposed_conv(x: Array, kernel: Array, stride: int = 2) -> Array:
    """sum over places t of x_dilated[i + t - before] kernel[t], x dilated by `stride`:
    `nn.ConvTranspose` with its defaults.

    x [batch, h, w, c], kernel [kh, kw, c, o] -> [batch, stride h, stride w, o], dtype kept. On CPU
    each of the stride^2 phases of the output is a convolution of x with the places that reach it
    (Shi et al. 2016, sec. 2.2), and no zero is multiplied. Raises ValueError for a kernel smaller
    than the stride.
    """
    if min(kernel.shape[:2]) < stride:
        raise ValueError(
            f"a kernel of {kernel.shape[0]} x {kernel.shape[1]} leaves gaps at a stride of {stride}"
        )

    def own(x: Array, kernel: Array) -> Array:
        return _by_phases(x, kernel, stride)

    def stock(x: Array, kernel: Array) -> Array:
        return jax.lax.conv_transpose(x, kernel, (stride,) * 2, "SAME", dimension_numbers=_LAYOUT)

    return jax.lax.platform_dependent(x, kernel, cpu=own, default=stock)


def _phase(size: int, stride: int, phase: int) -> tuple[slice, tuple[int, int]]:
    """The places of a kernel of `size` that reach the outputs stride i + phase, and the zeros
    before and after x.
    """
    # as lax.conv_transpose pads for "SAME"
    before = size - 1 if size == stride else -(-(size + stride - 2) // 2)
    first = (before - phase) % stride
    count, low = -(-(size - first) // stride), (before - phase - first) // stride
    return slice(first, None, stride), (low, count - 1 - low)


def _by_phases(x: Array, kernel: Array, stride: int) -> Array:
    batch, h, w, _ = x.shape

    def part(row: int, column: int) -> Array:
        (rows, above), (columns, left) = (
            _phase(kernel.shape[0], stride, row),
            _phase(kernel.shape[1], stride, column),
        )
        return jax.lax.conv_general_dilated(
            x, kernel[rows, columns], (1, 1), (above, left), dimension_numbers=_LAYOUT
        )

    lines = [jnp.stack([part(row, column) for column in range(stride)], 3) for row in range(stride)]
    return jnp.stack(lines, 2).reshape(batch, stride * h, stride * w, kernel.shape[-1])
