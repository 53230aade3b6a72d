"""A convolutional VAE of binarised 28x28 images, latent width 32, fixed noise, batch 128, Adam."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.0, "torch_channels_last": 1.0, "flax": 1.0}


class Size(NamedTuple):
    """Sizes: channels at half the resolution (at a quarter twice), latent width, height, batch."""

    width: int = 32
    latent: int = 32
    side: int = 28
    batch: int = 128


FULL, TINY = Size(), Size(4, 4, 8, 8)


def given(size: Size) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Draws kernels by name, images and noise."""
    rng, n, least = np.random.default_rng(0), size.width, size.side // 4
    shapes: dict[str, tuple[int, ...]] = {"down_0": (3, 3, 4, n), "down_1": (3, 3, 4 * n, 2 * n)}
    shapes |= {
        "code": (least**2 * 2 * n, 2 * size.latent),
        "start": (size.latent, least**2 * 2 * n),
    }
    shapes |= {"up_0": (3, 3, 2 * n, 4 * n), "up_1": (3, 3, n, 4)}
    kernels = {
        name: rng.normal(0, np.prod(s[:-1]) ** -0.5, s).astype(np.float32)
        for name, s in shapes.items()
    }
    x = (rng.uniform(size=(size.batch, size.side, size.side, 1)) < 0.3).astype(np.float32)
    return kernels, x, rng.normal(size=(size.batch, size.latent)).astype(np.float32)


def tree(size: Size) -> dict[str, Any]:
    """Returns the parameters with the names of `models.vae`."""
    own = {
        name: {"kernel": k, "bias": np.zeros(k.shape[-1], np.float32)}
        for name, k in given(size)[0].items()
    }
    encoder = {
        "ConvEncoder_0": {f"Conv_{i}": own[f"down_{i}"] for i in range(2)},
        "Dense_0": own["code"],
    }
    decoder = {
        "ConvDecoder_0": {f"Conv_{i}": own[f"up_{i}"] for i in range(2)},
        "Dense_0": own["start"],
    }
    return {"encoder": encoder, "decoder": decoder}


def dlcore(size: Size) -> Any:
    """Returns the step with `models.vae.VAE`."""
    import optax

    from dlcore.kernels.latent import bernoulli_log_density
    from dlcore.models.apply import apply
    from dlcore.models.vae import VAE, ConvLikelihood, ConvPosterior
    from dlcore.train.step import Objective, Out, mean
    from tests.benchmarks import ours

    widths = (size.width, 2 * size.width)
    encoder, decoder = (
        ConvPosterior(widths, size.latent),
        ConvLikelihood(widths[::-1], size.side // 4),
    )
    net = VAE(encoder, decoder, size.latent, bernoulli_log_density)

    def loss(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        bounds, extra = apply(net, "net", params, extra, batch["image"], batch["noise"][:, None])
        return Out(mean(-bounds.elbo, batch["mask"]), {}, extra)

    _, x, noise = given(size)
    return ours.training(
        {"net": Objective(loss, optax.adam(1e-3))},
        {"net": tree(size)},
        {"image": x, "noise": noise},
    )


def flax(size: Size) -> Any:
    """Returns the step with `nn.Conv`, `nn.gelu`, pixels and channels exchanged by reshaping."""
    import flax.linen as nn
    import jax.numpy as jnp
    import optax

    from tests.benchmarks import flaxed

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any, noise: Any) -> Any:
            for i, width in enumerate((size.width, 2 * size.width)):
                x = nn.gelu(nn.Conv(width, (3, 3), name=f"down_{i}")(flaxed.halved(x)))
            code = nn.Dense(2 * size.latent, name="code")(x.reshape(len(x), -1))
            mean, log_var = jnp.split(code, 2, -1)
            y = nn.gelu(
                nn.Dense(x[0].size, name="start")(mean + jnp.exp(log_var / 2) * noise)
            ).reshape(x.shape)
            y = nn.gelu(flaxed.doubled(nn.Conv(4 * size.width, (3, 3), name="up_0")(y)))
            return flaxed.doubled(nn.Conv(4, (3, 3), name="up_1")(y)), mean, log_var

    params = {
        name: {"kernel": k, "bias": np.zeros(k.shape[-1], np.float32)}
        for name, k in given(size)[0].items()
    }

    def loss(params: Any, x: Any, noise: Any) -> Any:
        y, mean, log_var = Net().apply({"params": params}, x, noise)
        kl = 0.5 * (mean**2 + jnp.exp(log_var) - 1 - log_var).sum(-1)
        return (optax.sigmoid_binary_cross_entropy(y, x).sum((1, 2, 3)) + kl).mean()

    return flaxed.training(loss, params, optax.adam(1e-3), *given(size)[1:])


def torch(size: Size, channels_last: bool = False) -> Any:
    """Returns the step with `nn.Conv2d` and `F.pixel_shuffle`, eager.

    Kernels are permuted to the channel order of PyTorch's shuffles.
    """
    import torch as pt
    from torch.nn import functional as f

    from tests.benchmarks import torched

    (kernels, x, noise), n = given(size), size.width
    places, kernels = (size.side // 4, size.side // 4, 2 * n), dict(kernels)
    for i in range(2):
        kernels[f"down_{i}"] = torched.unshuffled(kernels[f"down_{i}"])
        kernels[f"up_{i}"] = torched.shuffled(kernels[f"up_{i}"])
    kernels["code"] = torched.flattened(kernels["code"], places)
    kernels["start"] = torched.flattened(kernels["start"].T, places).T
    layers = torched.layers(kernels, channels_last)
    pixels, noises = torched.images(x, channels_last), pt.tensor(noise)

    def gelu(x: Any) -> Any:
        return f.gelu(x, approximate="tanh")

    def loss() -> Any:
        y = pixels
        for i in range(2):
            y = gelu(layers[f"down_{i}"](f.pixel_unshuffle(y, 2)))
        mean, log_var = layers["code"](y.flatten(1)).chunk(2, 1)
        y = gelu(layers["start"](mean + (log_var / 2).exp() * noises)).view(y.shape)
        y = gelu(f.pixel_shuffle(layers["up_0"](y), 2))
        y = f.pixel_shuffle(layers["up_1"](y), 2)
        kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum()
        return (f.binary_cross_entropy_with_logits(y, pixels, reduction="sum") + kl) / size.batch

    return torched.training(loss, pt.optim.Adam(layers.parameters(), 1e-3))


def torch_channels_last(size: Size) -> Any:
    """Returns the step of `torch` in PyTorch's memory format channels_last."""
    return torch(size, channels_last=True)
