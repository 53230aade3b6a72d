"""A DCGAN of 28x28 images, one update of each network; non-saturating loss, batch 64, Adam."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LIMITS = {"torch": 1.0, "torch_channels_last": 1.0, "flax": 1.0}
RATE, BETAS = 5e-4, (0.5, 0.99)


class Size(NamedTuple):
    """Sizes: channels at a quarter of the resolution, latent width, image height, batch."""

    width: int = 64
    latent: int = 64
    side: int = 28
    batch: int = 64


FULL, TINY = Size(), Size(8, 4, 8, 8)


def given(size: Size) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Draws kernels by name, images and noise."""
    rng, n, least = np.random.default_rng(0), size.width, size.side // 4
    shapes: dict[str, tuple[int, ...]] = {
        "start": (size.latent, least**2 * n),
        "up_0": (3, 3, n, 2 * n),
    }
    shapes |= {"up_1": (3, 3, n // 2, n), "drawn": (3, 3, n // 4, 1)}
    shapes |= {"down_0": (3, 3, 4, n // 2), "down_1": (3, 3, 2 * n, n), "score": (least**2 * n, 1)}
    kernels = {
        name: rng.normal(0, np.prod(s[:-1]) ** -0.5, s).astype(np.float32)
        for name, s in shapes.items()
    }
    x = rng.uniform(-1, 1, size=(size.batch, size.side, size.side, 1)).astype(np.float32)
    return kernels, x, rng.normal(size=(size.batch, size.latent)).astype(np.float32)


def trees(size: Size) -> dict[str, Any]:
    """Returns the parameters of both networks, with the names of `models.gan`."""
    own = {
        name: {"kernel": k, "bias": np.zeros(k.shape[-1], np.float32)}
        for name, k in given(size)[0].items()
    }
    gen = {
        "Dense_0": own["start"],
        "Conv_0": own["up_0"],
        "Conv_1": own["up_1"],
        "Conv_2": own["drawn"],
    }
    return {
        "gen": gen,
        "disc": {"Conv_0": own["down_0"], "Conv_1": own["down_1"], "Dense_0": own["score"]},
    }


def dlcore(size: Size) -> Any:
    """Returns the step with `models.gan`, both objectives in one step."""
    import optax

    from dlcore.kernels.adversarial import critic_loss, generator_loss
    from dlcore.models.apply import apply
    from dlcore.models.gan import Discriminator, Generator
    from dlcore.train.step import Objective, Out, mean
    from tests.benchmarks import ours

    gen, disc = Generator(size.width, size.side // 4), Discriminator(size.width)

    def generated(params: Any, extra: Any, batch: Any) -> Any:
        return apply(gen, "gen", params, extra, batch["noise"])[0]

    def critic_objective(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        true, false = (
            apply(disc, "disc", params, extra, x)[0]
            for x in (batch["image"], generated(params, extra, batch))
        )
        return Out(mean(critic_loss(true, false, "nonsaturating"), batch["mask"]), {}, extra)

    def generator_objective(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Any:
        score = apply(disc, "disc", params, extra, generated(params, extra, batch))[0]
        return Out(mean(generator_loss(score, "nonsaturating"), batch["mask"]), {}, extra)

    _, x, noise = given(size)
    objectives = {
        name: Objective(loss, optax.adam(RATE, *BETAS))
        for name, loss in (("disc", critic_objective), ("gen", generator_objective))
    }
    return ours.training(objectives, trees(size), {"image": x, "noise": noise})


def flax(size: Size) -> Any:
    """Returns the step with two jitted updates of stock modules."""
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    import optax

    from tests.benchmarks import flaxed

    def normal(x: Any) -> Any:
        x = nn.leaky_relu(x, 0.2)
        return x / jnp.sqrt((x**2).mean(-1, keepdims=True) + 1e-8)

    class Gen(nn.Module):
        @nn.compact
        def __call__(self, noise: Any) -> Any:
            side, n = size.side // 4, size.width
            x = normal(nn.Dense(side * side * n)(noise).reshape(-1, side, side, n))
            for width in (2 * n, n):
                x = normal(flaxed.doubled(nn.Conv(width, (3, 3))(x)))
            return jnp.tanh(nn.Conv(1, (3, 3))(x))

    class Disc(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            for width in (size.width // 2, size.width):
                x = nn.leaky_relu(nn.Conv(width, (3, 3))(flaxed.halved(x)), 0.2)
            return nn.Dense(1)(x.reshape(len(x), -1))[:, 0]

    def score(params: Any, x: Any) -> Any:
        return Disc().apply({"params": params}, x)

    def critic_objective(disc: Any, gen: Any, x: Any, noise: Any) -> Any:
        return (
            nn.softplus(-score(disc, x))
            + nn.softplus(score(disc, Gen().apply({"params": gen}, noise)))
        ).mean()

    def generator_objective(gen: Any, disc: Any, noise: Any) -> Any:
        return nn.softplus(-score(disc, Gen().apply({"params": gen}, noise))).mean()

    optimizer = optax.adam(RATE, *BETAS)

    @jax.jit
    def first(own: Any, opt: Any, other: Any, x: Any, noise: Any) -> Any:
        value, slopes = jax.value_and_grad(critic_objective)(own, other, x, noise)
        updates, opt = optimizer.update(slopes, opt, own)
        return optax.apply_updates(own, updates), opt, value

    @jax.jit
    def second(own: Any, opt: Any, other: Any, noise: Any) -> Any:
        updates, opt = optimizer.update(jax.grad(generator_objective)(own, other, noise), opt, own)
        return optax.apply_updates(own, updates), opt

    params = jax.tree.map(jnp.asarray, trees(size))
    held, (x, noise) = (
        {name: (own, optimizer.init(own)) for name, own in params.items()},
        map(jnp.asarray, given(size)[1:]),
    )

    def step() -> Any:
        *after, value = first(*held["disc"], held["gen"][0], x, noise)
        held["disc"] = tuple(after)
        held["gen"] = second(*held["gen"], held["disc"][0], noise)
        return value

    return step


def torch(size: Size, channels_last: bool = False) -> Any:
    """Returns the step with `nn.Conv2d`, `F.pixel_shuffle` and two optimizers, eager."""
    import torch as pt
    from torch.nn import functional as f

    from tests.benchmarks import torched

    kernels, x, noise = given(size)
    side, n = size.side // 4, size.width
    places, kernels = (side, side, n), dict(kernels)
    for name in ("down_0", "down_1"):
        kernels[name] = torched.unshuffled(kernels[name])
    for name in ("up_0", "up_1"):
        kernels[name] = torched.shuffled(kernels[name])
    kernels["score"] = torched.flattened(kernels["score"], places)
    kernels["start"] = torched.flattened(kernels["start"].T, places).T
    layers = torched.layers(kernels, channels_last)
    pixels, noises = torched.images(x, channels_last), pt.tensor(noise)

    def normal(x: Any) -> Any:
        x = f.leaky_relu(x, 0.2)
        return x * pt.rsqrt((x * x).mean(1, keepdim=True) + 1e-8)

    def generated() -> Any:
        y = normal(layers["start"](noises).view(-1, n, side, side))
        for name in ("up_0", "up_1"):
            y = normal(f.pixel_shuffle(layers[name](y), 2))
        return pt.tanh(layers["drawn"](y))

    def score(x: Any) -> Any:
        for name in ("down_0", "down_1"):
            x = f.leaky_relu(layers[name](f.pixel_unshuffle(x, 2)), 0.2)
        return layers["score"](x.flatten(1))

    generated, score = torched.compiled(generated), torched.compiled(score)
    names = {"gen": ("start", "up_0", "up_1", "drawn"), "disc": ("down_0", "down_1", "score")}
    sides = {
        key: [p for name in some for p in layers[name].parameters()] for key, some in names.items()
    }
    disc, gen = (pt.optim.Adam(sides[key], RATE, BETAS) for key in ("disc", "gen"))

    def step() -> Any:
        drawn = generated()
        disc.zero_grad()
        lost = (f.softplus(-score(pixels)) + f.softplus(score(drawn.detach()))).mean()
        lost.backward()
        disc.step()
        gen.zero_grad()
        f.softplus(-score(drawn)).mean().backward(inputs=sides["gen"])
        gen.step()
        return lost.detach()

    return step


def torch_channels_last(size: Size) -> Any:
    """Returns the step of `torch` in PyTorch's memory format channels_last."""
    return torch(size, channels_last=True)
