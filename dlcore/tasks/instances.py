"""Instance segmentation: separates objects such as nuclei by pixel classes, and scores them."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int32, Integer, UInt8
from scipy import ndimage

from dlcore.analysis.thresholds import otsu
from dlcore.data.splits import Splits
from dlcore.metrics import segmentation as metrics
from dlcore.metrics.calibration import reliability
from dlcore.metrics.known import Metric
from dlcore.tasks.segmentation import logits_of
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.model import Logits
from dlcore.train.step import Batch, State

_HIGHER, _LOWER = Metric("higher"), Metric("lower")
_NAMES = {
    "average_precision": _HIGHER,
    "average_precision_50": _HIGHER,
    "dice": _HIGHER,
    "iou": _HIGHER,
    "count_error": _LOWER,
}


def contrasted(batch: Batch, key: Array | None, train: bool) -> Array:
    """Computes log(pixel / mean of its image), with 1 added to both; the `inputs` of a `Model`.

    Faint objects keep their contrast in an image that has bright ones too.

    Args:
        batch: `image` [batch, height, width, 1] in [0, 255].
        key, train: not used.

    Returns:
        log((image + 1) / (mean + 1)) of the same shape; float32, float64 under `jax_enable_x64`.
    """
    image = batch["image"].astype(jnp.result_type(float))
    return jnp.log1p(image) - jnp.log1p(image.mean((1, 2, 3), keepdims=True))


def separated(
    probability: Float[np.ndarray, "height width 3"], smallest: int = 16
) -> Int32[np.ndarray, "height width"]:
    """Separates instances by flooding the foreground from their insides.

    Foreground are the pixels whose background probability is below 0.5; insides are the foreground
    pixels where "inside" is more probable than "border". Each connected inside is one instance, and
    so is each connected area of foreground without an inside; pixels with a common edge are
    connected. The other foreground pixels belong to the inside to which the path through the
    foreground is shortest, with diagonal steps.

    Args:
        probability: of background, inside and border, float [height, width, 3].
        smallest: instances of fewer pixels are left out.

    Returns:
        int32 [height, width]: 0 for background, else the number of the instance, from 1 on without
        gaps.
    """
    foreground = probability[..., 0] < 0.5
    inside = foreground & (probability[..., 1] > probability[..., 2])
    seeds, _ = ndimage.label(inside)
    areas, count = ndimage.label(foreground)
    seeded = np.zeros(count + 1, bool)
    seeded[np.unique(areas[inside])] = True
    alone = foreground & ~seeded[areas]
    seeds = np.where(alone, areas + seeds.max(), seeds).astype(np.int32)
    return renumbered(_flooded(seeds, foreground), smallest)


def _flooded(seeds: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Numbers of seeds, continued through the foreground by a pixel in each direction at a time."""
    while True:
        reached = (seeds == 0) & foreground
        seeds, before = np.where(reached, ndimage.grey_dilation(seeds, (3, 3)), seeds), seeds
        if np.array_equal(seeds, before):
            return seeds


def bright_areas(
    image: UInt8[np.ndarray, "height width 1"], smallest: int = 16
) -> Int32[np.ndarray, "height width"]:
    """Numbers the connected areas above Otsu's threshold; a baseline without learning.

    Pixels with a common edge are connected.

    Args:
        image: uint8 [height, width, 1].
        smallest: areas of fewer pixels are left out.

    Returns:
        int32 [height, width]: 0 for background, else the number of the area, from 1 on.
    """
    areas, _ = ndimage.label(image[..., 0] > otsu(image))
    return renumbered(areas, smallest)


def renumbered(instances: np.ndarray, smallest: int) -> np.ndarray:
    """Renumbers instances from 1 on, int32, without those of fewer than `smallest` pixels."""
    sizes = np.bincount(instances.ravel())
    kept = (sizes >= smallest) & (np.arange(len(sizes)) > 0)
    return np.where(kept, np.cumsum(kept), 0)[instances].astype(np.int32)


def evaluators(model: Logits, splits: Splits, smallest: int) -> list[Evaluator]:
    """Evaluates instances on validation and test, and those of a baseline at the end.

    Validation is scored at each evaluation, test at the end alone. `average_precision` is the score
    of the 2018 Data Science Bowl over IoU of 0.5 to 0.95, and `average_precision_50` at 0.5 alone,
    both means over images; `dice` and `iou` are of foreground pixels, all images of a split
    together; `count_error` is the mean absolute error of the number of instances of an image;
    `calibration_error` is the expected error of the instances' confidences (Guo et al. 2017, eq. 3)
    as probabilities of an IoU above 0.5 with a true instance, where any are found. The prefix
    `baseline_` marks the metrics of `bright_areas`, all but the calibration error.

    Args:
        model: computes logits [batch, height, width, 3] of `data.sets.instances.CLASSES`.
        splits: of `data.sets.instances`. Its images are continued by reflection to one size, and
            `dlcore predict` continues an image to multiples of 64 pixels only: since the network
            also reads means over an image, its probabilities differ a little.
        smallest: found instances of fewer pixels are left out; true ones count.
    """
    sources = {name: splits[name] for name in ("validation", "test")}

    def collect(state: State, batch: Batch) -> Mapping[str, Array]:
        logits = model(state.params, state.extra, batch, None, False)[0].astype(jnp.float32)
        return {
            "probability": jax.nn.softmax(logits),
            "instances": batch["instances"],
            "size": batch["size"],
        }

    def reduce(collected: Collected) -> Collected:
        true = true_instances(collected)
        found, confidence = found_in(collected["probability"], collected["size"], smallest)
        made = {"confidence": np.concatenate(confidence), "matched": matched(true, found)}
        return made | measures(true, found)

    def score(collected: Collected, split: str) -> dict[str, float]:
        made, p = scores(collected), collected["confidence"]
        if len(p):
            made["calibration_error"] = reliability(p, collected["matched"]).error
        return made

    def baseline(collected: Collected, split: str) -> dict[str, float]:
        source, each = sources[split], []
        for i in range(len(source)):  # one by one: images may be large
            held = dict(source.gather(np.array([i])))
            height, width = held["size"][0]
            areas = bright_areas(held["image"][0, :height, :width], smallest)
            each.append(measures(true_instances(held), [areas]))
        made = scores({name: np.concatenate([m[name] for m in each]) for name in each[0]})
        return {f"baseline_{name}": value for name, value in made.items()}

    of_baseline = {
        f"baseline_{name}": metric._replace(baseline_of=name) for name, metric in _NAMES.items()
    }
    return [
        Scored(sources, collect, score, {**_NAMES, "calibration_error": _LOWER}, reduces=reduce),
        Scored(dict.fromkeys(sources), lambda *_: {}, baseline, of_baseline, "end"),
    ]


def true_instances(rows: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Crops each image's `instances`, int [height, width] by number, to its own `size`."""
    pairs = zip(rows["instances"], rows["size"], strict=True)
    return [instances[:height, :width] for instances, (height, width) in pairs]


def found_in(
    probability: np.ndarray, sizes: np.ndarray, smallest: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns the instances of each image, at its own size, and their confidences.

    Args:
        probability: of the images, [images, height, width, 3].
        sizes: height and width of each image itself, int [images, 2].
        smallest: instances of fewer pixels are left out.

    Returns:
        int32 [height, width] of each image, as of `separated`, and `confidences` of each image.
    """
    pairs = zip(probability, sizes, strict=True)
    cropped = [each[:height, :width] for each, (height, width) in pairs]
    found = [separated(each, smallest) for each in cropped]
    return found, [confidences(*each) for each in zip(found, cropped, strict=True)]


def confidences(
    instances: Integer[np.ndarray, "height width"], probability: Float[np.ndarray, "height width 3"]
) -> Float[np.ndarray, " instances"]:
    """Computes each instance's mean foreground probability, float64, in order of its number.

    Args:
        instances: the number of each pixel's instance, from 1 on without gaps; 0: background.
        probability: of background, inside and border.
    """
    numbers, count = instances.ravel(), int(instances.max()) + 1
    sums = np.bincount(numbers, (1 - probability[..., 0]).ravel(), minlength=count)
    return np.clip(sums / np.maximum(np.bincount(numbers, minlength=count), 1), 0, 1)[1:]


def matched(true: list[np.ndarray], found: list[np.ndarray]) -> Bool[np.ndarray, " found"]:
    """Returns whether each found instance has an IoU above 0.5 with a true one of its image.

    Args:
        true, found: instances of each image, integers [height, width]; 0 is background.

    Returns:
        bool, for the found instances of all images one after the other, in order of their numbers.
    """
    overlaps = [metrics.instance_overlap(t, f) for t, f in zip(true, found, strict=True)]
    return np.concatenate([(each > 0.5).any(0) for each in overlaps])


def measures(true: list[np.ndarray], found: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Measures each image by itself; `scores` makes metrics of the arrays of all images.

    Args:
        true, found: instances of each image, integers [height, width]; 0 is background.

    Returns:
        `precision` float64 [images, thresholds], see `metrics.segmentation.matches`; `confusion`
        int64 [images, 2, 2] of foreground pixels; `count_error` int64 [images].
    """
    pairs = list(zip(true, found, strict=True))
    confusions = [metrics.confusion((t > 0).astype(int), (f > 0).astype(int), 2) for t, f in pairs]
    errors = [abs(len(np.unique(t[t > 0])) - len(np.unique(f[f > 0]))) for t, f in pairs]
    return {
        "precision": np.array([metrics.matches(t, f).precision for t, f in pairs]),
        "confusion": np.array(confusions),
        "count_error": np.array(errors),
    }


def scores(measured: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Computes the metrics of `evaluators` from the `measures` of all images.

    Returns:
        {metric: value}, without prefix, and without `calibration_error`.
    """
    precision, pixels = measured["precision"], metrics.overlap(measured["confusion"].sum(0))
    return {
        "average_precision": float(precision.mean()),
        "average_precision_50": float(precision[:, 0].mean()),
        "dice": float(np.nan_to_num(pixels.dice[1])),
        "iou": float(np.nan_to_num(pixels.iou[1])),
        "count_error": float(measured["count_error"].mean()),
    }


def probabilities(model: Logits, state: State, batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """Computes the softmax of the logits of a batch, float32 [batch, height, width, 3]."""
    logits = logits_of(model)(state.params, state.extra, dict(batch))
    return np.asarray(_softmax(logits))


@jax.jit
def _softmax(logits: Array) -> Array:
    return jax.nn.softmax(logits)
