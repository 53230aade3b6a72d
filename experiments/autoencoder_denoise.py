"""A convolutional autoencoder that takes noise or blur out of images, against the median filter and linear maps.

Family: Autoencoder
Task: denoising, deblurring
Data: MNIST 3.0.1 (TFDS), 55,000/5,000/10,000; --offline: scikit-learn's digits, enlarged to 28x28
Published: none for this noise

--task denoise adds Gaussian noise of deviation 0.5 to pixels in [0, 1]; --task deblur blurs them by a Gaussian of 2 pixels and adds noise
of 0.05. PSNR is a mean over images, of outputs cut to [0, 1]. Every baseline sees the same noise, and has the size or the number of
components that is best for the validation images. The linear map is the best of all: a Wiener filter that knows the data.
"""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import dlcore
from dlcore.analysis import baselines
from dlcore.bounds import NonNegativeFloat, PositiveInt
from dlcore.data.sets import images
from dlcore.data.sets.images import degraded
from dlcore.kernels.corrupt import gaussian_blur, gaussian_noise
from dlcore.metrics.images import psnr
from dlcore.models.apply import apply
from dlcore.models.autoencoder import Autoencoder, ConvDecoder, ConvEncoder
from dlcore.samples import Images
from dlcore.train import optim
from dlcore.train.batched import over
from dlcore.train.experiment import Experiment
from dlcore.train.step import Objective, Out, mean


@dataclass(frozen=True)
class Config:
    task: Literal["denoise", "deblur"] = "denoise"
    widths: tuple[PositiveInt, ...] = (32, 64)
    depth: PositiveInt = 2
    optimizer: optim.Kind = "adamw"
    lr: NonNegativeFloat = 3e-3
    batch: int = 64
    steps: int = 2500
    offline: bool = False


OFFLINE = Config(steps=800, offline=True)
TINY = Config(widths=(4, 8), depth=1, batch=32, steps=6, offline=True)


def build(c: Config) -> Experiment:
    blur, noise = {"denoise": (0.0, 0.5), "deblur": (2.0, 0.05)}[c.task]
    net = Autoencoder(ConvEncoder(c.widths, c.depth), ConvDecoder(c.widths[::-1], depth=c.depth))

    def pixels(batch):
        return batch["image"].astype(jnp.float32) / 255

    def worse(batch, key):
        """Evaluation brings its own, which the baselines see too."""
        if "degraded" in batch:
            return batch["degraded"]
        return gaussian_noise(key, batch["row"], gaussian_blur(pixels(batch), blur) if blur else pixels(batch), noise)

    def logits(params, extra, x):
        return apply(net, "net", params, extra, x)[0][0]

    def loss(params, extra, batch, key, train):
        x = pixels(batch)
        y = logits(params, extra, worse(batch, key))
        squared = ((jax.nn.sigmoid(y) - x) ** 2).mean((1, 2, 3))
        # Cross-entropy has the same best answer, the mean of what x may be, and a gradient where all is black.
        xent = optax.sigmoid_binary_cross_entropy(y, x).mean((1, 2, 3))
        return Out(mean(xent, batch["mask"]), {"psnr": mean(-10 * jnp.log10(jnp.maximum(squared, 1e-10)), batch["mask"])}, extra)

    splits, _ = images.splits("mnist", 55000, c.offline)
    held = {split: degraded(splits[split], blur, noise, seed) for seed, split in enumerate(("validation", "test"))}

    def filters():
        """{kind: {size: filter}}, made from training images alone."""
        train = degraded(splits["train"], blur, noise, seed=2).arrays
        clean, bad = np.asarray(pixels(train)), train["degraded"]
        axes = baselines.principal_components(clean, min(200, len(clean)))
        return {
            "median_filter": {str(size): baselines.median_filter(size) for size in (3, 5, 7)},
            "components": {str(k): axes.first(k).project for k in (10, 20, 30, 40, 50, 75, 100, 150, 200)},
            "best_linear_map": {"": baselines.linear_map(bad, clean)},
            "nothing": {"": lambda x: x},
        }

    def evaluate(state):
        (seen, aim), (x, y) = ((held[s].arrays["degraded"], pixels(held[s].arrays)) for s in ("validation", "test"))
        best = {kind: sizes[baselines.best(sizes, seen, aim, psnr)](x) for kind, sizes in filters().items()}
        return {"test": {f"psnr_of_{kind}": psnr(np.clip(found, 0, 1), y) for kind, found in best.items()}}

    def sample(state, key):
        test = {name: array[:20] for name, array in held["test"].arrays.items()}
        new = over(lambda x: jax.nn.sigmoid(logits(state.params, state.extra, x)), test["degraded"], batch=20)
        median = baselines.median_filter(5)(test["degraded"])
        rows = np.clip(np.concatenate([test["degraded"], median, new, pixels(test)]), 0, 1)
        return [Images("Test images: as seen, by a median filter of 5x5, by the network, as they were", rows, columns=20)]

    rate = optim.warmup_cosine(c.lr, c.steps, c.steps // 20)
    return Experiment(
        train=splits["train"],
        batch=c.batch,
        steps=c.steps,
        init={"net": lambda key, batch: net.init(key, pixels(batch))},
        objectives={"net": Objective(loss, optim.make(c.optimizer, rate, decay=0.01, clip=1.0))},
        eval=held,
        evaluate=evaluate,
        sample=sample,
        best="validation/psnr",
        inputs=["degraded"],
    )


if __name__ == "__main__":
    dlcore.main(__file__)
