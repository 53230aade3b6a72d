"""Style transfer: perceptual losses on frozen features, beside Gatys' optimisation of pixels."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from PIL import Image

from dlcore.data import cache
from dlcore.data.sets import photographs
from dlcore.data.splits import Splits
from dlcore.kernels.style import gram
from dlcore.models.style import CONTENT, SMALLEST, STYLE, VGG
from dlcore.tasks import image_inputs
from dlcore.train import weights
from dlcore.train.model import Model
from dlcore.train.step import Batch, Extra, Loss, Out, Params, mean

# (params, extra, photographs) -> pictures, both [batch, h, w, 3] in [0, 1]
Paint = Callable[[Params, Extra, Array], Array]
MULTIPLE = 8  # of height and width: three halvings of VGG


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
        found, expected = (self._features(params, extra, x) for x in (made, photograph))
        style = jnp.zeros(len(made), found[CONTENT].dtype)
        if style_of is None:
            targets = {k: x[None] for k, x in self.grams.on(params, extra).items()}
        else:
            targets = {k: gram(x) for k, x in self._features(params, extra, style_of).items()}
        for layer, target in targets.items():
            error = ((gram(found[layer]) - target) ** 2).sum((1, 2))
            style = style + error / (target**2).sum((1, 2)) / len(STYLE)
        error = ((found[CONTENT] - expected[CONTENT]) ** 2).sum((1, 2, 3))
        content = error / (expected[CONTENT] ** 2).sum((1, 2, 3))
        return {"content": content, "style": style, "total": content + self.style_weight * style}

    def _features(self, params: Params, extra: Extra, pictures: Array) -> dict[str, Array]:
        """Activations of pictures, float32 or wider."""
        found = self.vgg.on(params, extra, pictures)
        return {k: x.astype(jnp.promote_types(x.dtype, jnp.float32)) for k, x in found.items()}


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
