"""Convolutions of images in the forms that run fast on CPU; on other devices, XLA's.

Fastest on CPU for 3x3 kernels, 14x14 to 32x32 pixels, batches of 64 to 128, with its time relative
to XLA's ("patches" and "shifted products" are `_by_patches` and `_by_shifted_products`):

- 1 to 4 input channels: forward by patches (0.5), gradient by the image by shifted products (0.3),
  gradient by the kernel by XLA.
- 1 to 4 output channels: forward by shifted products (0.3), gradient by the image by patches (0.5),
  gradient by the kernel by patches of the output's gradient (0.4).
- more of both: XLA for all three (for the kernel's gradient, patches took 2 to 6 times as long).
- transposed, 2x2: by phases (forward 0.7; forward and both gradients together 0.07).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from dlcore.kernels.derivatives import with_backward

# height x width x channels of a kernel, up to which the forms for few channels are faster
FEW = 36
_LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(
    x: Float[Array, "batch h w c"], kernel: Float[Array, "kh kw c o"]
) -> Float[Array, "batch h w o"]:
    """Computes a 2-D convolution with zero padding and stride 1, the default of `flax.linen.Conv`.

    y[h, w] = sum_ij x[h + i - (kh - 1)/2, w + j - (kw - 1)/2] kernel[i, j], with halves rounded
    down. The module's docstring lists which form runs when. Forward-mode derivatives: see
    `derivatives.plain_derivatives`.

    Args:
        x: images [batch, h, w, c], floating.
        kernel: [kh, kw, c, o], dtype of `x`.

    Returns:
        Images [batch, h, w, o], dtype of `x`.
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
        dkernel = _kernel_gradient(x, kernel, dy)
    else:
        dkernel = jax.lax.platform_dependent(
            x, kernel, dy, cpu=_kernel_gradient_by_patches, default=_kernel_gradient
        )
    return conv(dy, kernel[::-1, ::-1].swapaxes(2, 3)), dkernel


@with_backward(_forward, _backward)
def _few(x: Array, kernel: Array) -> Array:
    on_cpu = _by_patches if kernel.shape[2] <= kernel.shape[3] else _by_shifted_products
    return jax.lax.platform_dependent(x, kernel, cpu=on_cpu, default=_xla)


def _shifted(x: Array, kh: int, kw: int) -> list[Array]:
    """x [batch, h, w, n] shifted by each offset of a kernel, zero-padded: kh kw arrays like x."""
    h, w = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2), (0, 0)))
    return [padded[:, i : i + h, j : j + w] for i in range(kh) for j in range(kw)]


def _product(a: Array, b: Array) -> Array:
    """a [n, k] b [k, m], accumulated and returned in float32 or wider."""
    return jnp.matmul(a, b, preferred_element_type=jnp.promote_types(a.dtype, jnp.float32))


def _by_patches(x: Array, kernel: Array) -> Array:
    """Concatenates the inputs of each output (im2col), then one matrix product."""
    kh, kw, _, o = kernel.shape
    patches = jnp.concatenate(_shifted(x, kh, kw), -1)
    y = _product(patches.reshape(-1, patches.shape[-1]), kernel.reshape(-1, o))
    return y.astype(x.dtype).reshape(*x.shape[:3], o)


def _by_shifted_products(x: Array, kernel: Array) -> Array:
    """One matrix product with the weights of all kernel offsets; then shifts and adds the parts."""
    kh, kw, c, o = kernel.shape
    pixels = x.reshape(-1, c)
    weights = kernel.transpose(2, 0, 1, 3).reshape(c, -1)
    products = _product(pixels, weights).reshape(*x.shape[:3], kh * kw * o)
    shifted = _shifted(products, kh, kw)
    y = sum(part[..., i * o : (i + 1) * o] for i, part in enumerate(shifted))
    return jnp.asarray(y).astype(x.dtype)


def _kernel_gradient(x: Array, kernel: Array, dy: Array) -> Array:
    return jax.vjp(lambda kernel: _xla(x, kernel), kernel)[1](dy)[0]


def _kernel_gradient_by_patches(x: Array, kernel: Array, dy: Array) -> Array:
    kh, kw, c, o = kernel.shape
    patches = jnp.concatenate(_shifted(dy, kh, kw), -1)
    flat = _product(x.reshape(-1, c).T, patches.reshape(-1, patches.shape[-1]))
    dkernel = flat.reshape(c, kh, kw, o)[:, ::-1, ::-1]
    return dkernel.transpose(1, 2, 0, 3).astype(kernel.dtype)


def transposed_conv(
    x: Float[Array, "batch h w c"], kernel: Float[Array, "kh kw c o"], stride: int = 2
) -> Float[Array, "batch h2 w2 o"]:
    """Computes a 2-D transposed convolution, as `flax.linen.ConvTranspose` by default.

    The convolution, with zero padding, of `x` dilated by `stride`. On CPU each of the stride^2
    phases of the output is computed as a convolution of `x` with the kernel entries that reach it,
    so that no inserted zero is multiplied.

    Args:
        x: images [batch, h, w, c].
        kernel: [kh, kw, c, o].
        stride: factor by which height and width grow.

    Returns:
        Images [batch, stride h, stride w, o], dtype of `x`.

    Raises:
        ValueError: the kernel is smaller than the stride.

    Source: Shi et al. 2016, sec. 2.2.
    """
    if min(kernel.shape[:2]) < stride:
        raise ValueError(
            f"a kernel of {kernel.shape[0]} x {kernel.shape[1]} leaves gaps at a stride of {stride}"
        )

    def on_cpu(x: Array, kernel: Array) -> Array:
        return _by_phases(x, kernel, stride)

    def elsewhere(x: Array, kernel: Array) -> Array:
        return jax.lax.conv_transpose(x, kernel, (stride,) * 2, "SAME", dimension_numbers=_LAYOUT)

    return jax.lax.platform_dependent(x, kernel, cpu=on_cpu, default=elsewhere)


def _phase(size: int, stride: int, phase: int) -> tuple[slice, tuple[int, int]]:
    """The entries of a kernel of `size` that reach the outputs stride i + phase, along one axis.

    Returns their slice, and the number of zeros to pad before and after x.
    """
    # as lax.conv_transpose pads for "SAME"
    before = size - 1 if size == stride else -(-(size + stride - 2) // 2)
    first = (before - phase) % stride
    count = -(-(size - first) // stride)
    low = (before - phase - first) // stride
    return slice(first, None, stride), (low, count - 1 - low)


def _by_phases(x: Array, kernel: Array, stride: int) -> Array:
    batch, h, w, _ = x.shape

    def phase(row: int, column: int) -> Array:
        rows, above_and_below = _phase(kernel.shape[0], stride, row)
        columns, left_and_right = _phase(kernel.shape[1], stride, column)
        return jax.lax.conv_general_dilated(
            x,
            kernel[rows, columns],
            (1, 1),
            (above_and_below, left_and_right),
            dimension_numbers=_LAYOUT,
        )

    phases = range(stride)
    lines = [jnp.stack([phase(row, column) for column in phases], 3) for row in phases]
    return jnp.stack(lines, 2).reshape(batch, stride * h, stride * w, kernel.shape[-1])
