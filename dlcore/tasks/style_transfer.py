"""Style transfer: perceptual losses on frozen features, beside Gatys' optimisation of pixels."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from PIL import Image

from dlcore.analysis.neural_style import Optimised, optimise
from dlcore.data import cache
from dlcore.data.sets import photographs
from dlcore.data.splits import Splits
from dlcore.kernels.style import gram
from dlcore.metrics.known import Metric
from dlcore.models.style import CONTENT, SMALLEST, STYLE, VGG
from dlcore.samples import Images, Plot, Sample, Series, Table
from dlcore.tasks import image_inputs
from dlcore.train import weights
from dlcore.train.evaluators import Evaluator, OfState
from dlcore.train.model import Model
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean

METRICS = {
    "content": Metric("lower"),
    "style": Metric("lower"),
    "loss_over_optimised": Metric("lower"),
    "loss_over_optimised_of_photograph": Metric(None, baseline_of="loss_over_optimised"),
    "content_of_optimised": Metric(None),
    "style_of_optimised": Metric(None),
    "loss_over_photograph": Metric("lower"),
    "seconds_of_network": Metric("lower", "s"),
    "seconds_of_optimised": Metric(None, "s"),
    "seconds_over_optimised": Metric("lower"),
}
# (params, extra, photographs) -> pictures, both [batch, h, w, 3] in [0, 1]
Paint = Callable[[Params, Extra, Array], Array]
MULTIPLE = 8  # of height and width: three halvings of VGG
MOST = 4  # photographs that are optimised, of a folder that may have thousands


def targets(splits: Splits, style: np.ndarray, size: int, width: int, pretrained: bool) -> Splits:
    """Computes a style's Gram matrices, and adds their file and that of VGG's weights to facts.

    The file of the matrices is written to the cache folder at each call; that of random parameters
    if it does not exist.

    Args:
        splits: the photographs.
        style: the picture, uint8 [height, width, 3].
        size: pixels to which the longer side of `style` is reduced; a smaller one is not enlarged.
        width: of `VGG`; must be 64 where pretrained.
        pretrained: whether VGG has the parameters of VGG-16; else random ones of a fixed seed.

    Returns:
        The splits, whose `facts` have `features`, the path of VGG's parameters (`Weights(file,
        "vgg")`), and `grams`, that of the matrices (`Weights(file, "grams")`).

    Raises:
        UsageError: `pretrained`, and the data set of the weights of VGG-16 is not prepared.
    """
    net, small = VGG(width), padded(shrunk(style, size))
    pixels = small[None].astype(np.float32) / 255
    if pretrained:
        features = photographs.features()
    else:
        features = cache.folder() / "style" / f"random-{width}.npz"
        if not features.exists():
            params = net.init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))["params"]
            photographs.write(features, "vgg", _flat(params))
    params = weights.load(features)["params"]["vgg"]
    found = jax.jit(net.apply)({"params": jax.tree.map(jnp.asarray, params)}, pixels)
    grams = {layer: np.asarray(gram(found[layer])[0]) for layer in STYLE}
    settings = f"{pretrained} {width} {pixels.shape} {CONTENT} {STYLE}".encode()
    key = hashlib.sha256(small.tobytes() + settings).hexdigest()[:32]
    place = cache.folder() / "style" / f"{key}.npz"
    photographs.write(place, "grams", grams)
    return splits.with_facts(features=str(features), grams=str(place))


def _flat(params: Mapping[str, Mapping[str, Array]]) -> dict[str, np.ndarray]:
    return {
        f"{layer}/{name}": np.asarray(array)
        for layer, each in params.items()
        for name, array in each.items()
    }


def shrunk(image: np.ndarray, longest: int) -> np.ndarray:
    """Reduces a picture, uint8 [h, w, 3], so that its longer side has at most `longest` pixels.

    The aspect ratio is kept; a smaller picture is returned unchanged.
    """
    made = Image.fromarray(image)
    made.thumbnail((longest, longest), Image.Resampling.BILINEAR)
    return np.asarray(made)


def padded(image: np.ndarray) -> np.ndarray:
    """Pads a picture [h, w, 3] by reflection, right and below, to multiples of 8 pixels.

    Each side gets the smallest multiple that is no shorter and at least 16.
    """
    for axis in (0, 1):
        n = image.shape[axis]
        missing = max(SMALLEST, -(-n // MULTIPLE) * MULTIPLE) - n
        width = [(0, missing if each == axis else 0) for each in (0, 1, 2)]
        image = np.pad(image, width, mode="reflect" if missing < n else "symmetric")
    return image


@dataclasses.dataclass(frozen=True, eq=False)
class Perceptual:
    """Computes perceptual losses of pictures against a photograph and a style, by frozen features.

    An instance maps (params, extra, pictures, photographs that give the content, pictures of styles
    or None), each picture [batch, h, w, 3] in [0, 1], to {"content", "style", "total": [batch]}.

    Attributes:
        vgg: model of the features, of pictures in [0, 1].
        grams: model whose parameters are the Gram matrices of the style, {layer: matrix}; not used
            where the call has pictures of styles.
        style_weight: factor of the style loss in the total, which is content + factor * style.
    """

    vgg: Model
    grams: Model
    style_weight: float

    def __call__(
        self,
        params: Params,
        extra: Extra,
        made: Array,
        photograph: Array,
        style_of: Array | None = None,
    ) -> dict[str, Array]:
        """Computes the losses of pictures, after Johnson et al. 2016, eq. 2 and 4.

        Both are relative, and so without unit: the squared error of the activations F of `CONTENT`
        over their targets, |F - T|^2 / |T|^2, and the same of the Gram matrices, averaged over the
        layers `STYLE`.

        Args:
            params, extra: of all models.
            made, photograph: [batch, h, w, 3] in [0, 1]; `photograph` gives the content.
            style_of: pictures [batch, height, width, 3] that give the styles; None: `grams` does.

        Returns:
            "content", "style" and "total" = content + style_weight * style, [batch] each.
        """
        found = self.vgg.on(params, extra, made)
        expected = self.vgg.on(params, extra, photograph)[CONTENT]
        style = jnp.zeros(len(made), made.dtype)
        if style_of is None:
            targets = {k: x[None] for k, x in self.grams.on(params, extra).items()}
        else:
            targets = {k: gram(x) for k, x in self.vgg.on(params, extra, style_of).items()}
        for layer, target in targets.items():
            error = ((gram(found[layer]) - target) ** 2).sum((1, 2))
            style = style + error / (target**2).sum((1, 2)) / len(STYLE)
        error = ((found[CONTENT] - expected) ** 2).sum((1, 2, 3))
        content = error / (expected**2).sum((1, 2, 3))
        return {"content": content, "style": style, "total": content + self.style_weight * style}


def loss(painter: Model, perceptual: Perceptual) -> Loss:
    """Returns the total perceptual loss of painted photographs; metrics: `content`, `style`.

    It is the mean over the photographs whose `mask` is 1.

    Args:
        painter: computes pictures [batch, size, size, 3] in [0, 1] of a batch with `image`, uint8
            of the same shape, the photographs, and `mask`, float [batch].
        perceptual: the losses of pictures, with the style in its `grams`.
    """

    def painted(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        made, extra = painter(params, extra, batch, key, train)
        each = perceptual(params, extra, made, image_inputs.unit(batch, None, False))
        metrics = {name: mean(each[name], batch["mask"]) for name in ("content", "style")}
        return Out(mean(each["total"], batch["mask"]), metrics, extra)

    return painted


class Comparison:
    """Compares a network with Gatys' optimisation of pixels, on the first test photographs.

    They are the first `MOST`, in the order of the test split. The optimisation does not depend on
    trained parameters: it is computed once per photograph, at the first use, and kept. `evaluator`
    gives metrics of the comparison, `draw` its pictures.
    """

    def __init__(
        self, paint: Paint, perceptual: Perceptual, splits: Splits, size: int, iterations: int
    ) -> None:
        """Stores what is compared; nothing is computed yet.

        Args:
            paint: (params, extra, photographs) -> pictures, [batch, h, w, 3] in [0, 1] each.
            perceptual: as of `loss`.
            splits: whose test split has `whole`, {name: photograph uint8 [height, width, 3]}.
            size: pixels to which their longer side is reduced.
            iterations: number of updates of the optimisation.
        """
        self.paint, self.perceptual, self.splits = paint, perceptual, splits
        self.size, self.iterations = size, iterations
        self._optimised: dict[str, Optimised] = {}

    def photographs(self) -> dict[str, np.ndarray]:
        """Returns the first `MOST` photographs {name: uint8 [h, w, 3]}, `shrunk` and `padded`."""
        chosen = itertools.islice(self.splits.test.whole.items(), MOST)
        return {name: padded(shrunk(image, self.size)) for name, image in chosen}

    def losses(self, state: State, photograph: np.ndarray) -> Callable[[Array], dict[str, Array]]:
        """Returns the function that computes the losses of one picture against a photograph.

        Args:
            state: of which the frozen parameters are used.
            photograph: uint8 [h, w, 3], gives the content.

        Returns:
            picture [1, h, w, 3] in [0, 1] -> {"content", "style", "total": scalar}.
        """
        content = jnp.asarray(photograph[None].astype(np.float32) / 255)

        def scalar(made: Array) -> dict[str, Array]:
            each = self.perceptual(state.params, state.extra, made, content)
            return {name: value[0] for name, value in each.items()}

        return scalar

    def optimised(self, state: State, name: str, photograph: np.ndarray) -> Optimised:
        """Optimises the pixels of a photograph, once per name.

        Args:
            state: of which the frozen parameters are used.
            name: of the photograph; later calls with this name return the stored result.
            photograph: uint8 [h, w, 3], gives the content, and the pixels to start from.

        Returns:
            The picture of smallest total loss, the curves of the losses, and the seconds.
        """
        if name not in self._optimised:
            pixels, losses = photograph.astype(np.float32) / 255, self.losses(state, photograph)
            self._optimised[name] = optimise(losses, pixels, self.iterations)
        return self._optimised[name]

    def painted(self, state: State, photograph: np.ndarray) -> tuple[np.ndarray, float]:
        """Paints a photograph by the network.

        Args:
            state: trained parameters.
            photograph: uint8 [h, w, 3]; h and w are multiples of 8, as of `photographs`.

        Returns:
            The picture, float32 [1, h, w, 3] in [0, 1], and the seconds it took, without
            compilation.
        """
        paint = jax.jit(self.paint)
        pixels = photograph[None].astype(np.float32) / 255
        jax.block_until_ready(paint(state.params, state.extra, pixels))
        start = time.monotonic()
        made = np.asarray(paint(state.params, state.extra, pixels))
        return made, time.monotonic() - start

    def score(self, state: State) -> dict[str, float]:
        """Computes `METRICS`, averaged over the photographs; a ratio is a mean of their ratios.

        Returns:
            `content` and `style` of the network's pictures, and `..._of_optimised` of the optimised
            ones; the ratios of the network's total loss to that of the optimised picture,
            `loss_over_optimised`, and of the unchanged photograph, `loss_over_photograph`; the
            ratio of the photograph to the optimised picture, `loss_over_optimised_of_photograph`;
            `seconds_of_network` and `seconds_of_optimised`, without compilation, and their ratio
            `seconds_over_optimised`.
        """
        rows = []
        for name, photograph in self.photographs().items():
            losses = jax.jit(self.losses(state, photograph))
            picture, seconds = self.painted(state, photograph)
            made = {k: float(v) for k, v in losses(picture).items()}
            plain = float(losses(photograph[None].astype(np.float32) / 255)["total"])
            optimised = self.optimised(state, name, photograph)
            best = optimised.losses
            rows.append(
                {
                    "content": made["content"],
                    "style": made["style"],
                    "loss_over_optimised": made["total"] / best["total"],
                    "loss_over_optimised_of_photograph": plain / best["total"],
                    "content_of_optimised": best["content"],
                    "style_of_optimised": best["style"],
                    "loss_over_photograph": made["total"] / plain,
                    "seconds_of_network": seconds,
                    "seconds_of_optimised": optimised.seconds,
                    "seconds_over_optimised": seconds / optimised.seconds,
                }
            )
        return {name: float(np.mean([row[name] for row in rows])) for name in METRICS}

    def evaluator(self) -> Evaluator:
        """Returns the evaluator of `score`, which runs at the end, on the split "test"."""
        return OfState("test", self.score, METRICS)

    def draw(self, state: State, key: Array) -> list[Sample]:
        """Shows the network's pictures beside the optimised ones; the key is not used.

        Returns:
            A table of losses and seconds by photograph; then of each photograph an `Images` of it
            and both pictures, and a plot of each loss of the optimisation by iteration.
        """
        shown: list[Sample] = []
        rows: list[tuple[str | float, ...]] = []
        for name, photograph in self.photographs().items():
            made, seconds = self.painted(state, photograph)
            losses = jax.jit(self.losses(state, photograph))(made)
            best = self.optimised(state, name, photograph)
            pictures = np.stack([photograph / 255.0, made[0], best.image])
            captions = ("photograph", "network", f"optimised, {self.iterations} iterations")
            shown.append(
                Images(f"{name}: in one pass, and optimised", pictures, captions, columns=3)
            )
            for kind, curve in sorted(best.curves.items()):
                axis, line = np.arange(len(curve), dtype=np.float64), float(losses[kind])
                series = (
                    Series("optimised", axis, curve),
                    Series("network", axis, np.full(len(curve), line)),
                )
                # the content loss begins at 0
                title = f"{name}: {kind} loss"
                shown.append(Plot(title, "iteration", "loss", series, log_y=kind != "content"))
            for by, found, took in (
                ("network", losses, seconds),
                ("optimised", best.losses, best.seconds),
            ):
                numbers = (round(float(found[k]), 4) for k in ("content", "style", "total"))
                rows.append((name, by, *numbers, round(took, 3)))
        head = ("photograph", "by", "content", "style", "total", "seconds")
        return [Table("Content and style loss, and time", head, tuple(rows)), *shown]
