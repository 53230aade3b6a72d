"""Contrastive learning without labels (SimCLR, Chen et al. 2020), measured by linear probes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from dlcore.data.few_labels import labelled
from dlcore.data.source import Source
from dlcore.data.splits import Splits
from dlcore.kernels.contrast import info_nce
from dlcore.metrics.known import Metric
from dlcore.samples import Images, Sample
from dlcore.tasks import class_calibration
from dlcore.tasks.view_augmentation import Views
from dlcore.train.evaluators import Evaluator, OfState
from dlcore.train.gather import all_rows
from dlcore.train.model import Inputs, Logits, Model
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean

_PENALTIES = (0.01, 0.1, 1.0)  # inverse strengths of the probe's penalty, chosen on validation
_NEIGHBOURS = 7


def pixels(images: Array) -> Array:
    """Scales images from [0, 1] to the range of the encoder's inputs, [-2, 2]."""
    return 4 * images - 2


def image(batch: Batch, key: Array | None, train: bool) -> Array:
    """Returns `image`, uint8, as an input of the encoder: float32 in [-2, 2].

    The arguments `key` and `train` are not used.
    """
    return pixels(batch["image"].astype(jnp.result_type(float)) / 255)


def inputs(views: Views) -> Inputs:
    """Returns the `inputs` of a `Model`: two random views of each image, or the image itself.

    Args:
        views: draws a view of each image.

    Returns:
        (batch, key, train) -> (arguments, keywords) of the network: ((images,), {"row": row}).
        With a key, images [2 batch, ...] are the first views of all examples, then the second ones,
        and `row` [2 batch] repeats that of the batch. Where `key` is None (initialisation and
        inference), images are those of the batch, and `row` is that of the batch, or None where it
        has none. `train` is not used.
    """

    def of_batch(batch: Batch, key: Array | None, train: bool) -> tuple:
        if key is None:
            return (image(batch, key, train),), {"row": batch.get("row")}
        row = batch["row"]
        both = [views(jax.random.fold_in(key, n), row, batch["image"]) for n in range(2)]
        return (pixels(jnp.concatenate(both)),), {"row": jnp.concatenate([row, row])}

    return of_batch


def loss(model: Model, temperature: float) -> Loss:
    """Returns the NT-Xent of two views plus the scaled cross-entropy of the online probe.

    The cross-entropy is summed over the examples whose label the probe may use, and divided by the
    number of views that count, as is the NT-Xent. Metrics: `contrast`, the NT-Xent in nats (Chen et
    al. 2020, eq. 1); `views_matched`, the fraction of views whose nearest view in the batch is that
    of the same image; `probe_accuracy`, of the online probe on the examples whose label it may use.

    Args:
        model: computes `Encoded` of two views of a batch with `row`, `mask` [batch], `label` int
            [batch] and `labelled` [batch, fractions], 1 where the probe may use the label (the
            last column is used).
        temperature: divides the cosines.
    """

    def of_views(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        found, extra = model(params, extra, batch, key, train)
        each, matched = _contrast(found.projection, batch, temperature)
        both = jnp.concatenate([batch["mask"], batch["mask"]])
        contrast = mean(each, both)
        logits = found.logits[: len(batch["label"])]
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        usable = batch["mask"] * batch["labelled"][:, -1]
        xent = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
        probe = mean(xent, usable)
        metrics = {
            "contrast": contrast,
            "views_matched": mean(matched, both),
            "probe_accuracy": mean(jnp.argmax(logits, -1) == batch["label"], usable),
        }
        return Out(contrast._replace(total=contrast.total + probe.total), metrics, extra)

    return of_views


def _contrast(projection: Array, batch: Batch, temperature: float) -> tuple[Array, Array]:
    """NT-Xent of this device's views against all views, and whether the other view is nearest."""
    first, second = jnp.split(projection, 2)
    candidates = jnp.concatenate([all_rows(first), all_rows(second)])
    row, mask = all_rows(batch["row"]), all_rows(batch["mask"])
    own = jnp.concatenate([batch["row"], batch["row"]])
    of_first = jnp.repeat(jnp.array([True, False]), len(batch["row"]))
    view = jnp.repeat(jnp.array([True, False]), len(row))
    rows = jnp.concatenate([row, row])
    same = own[:, None] == rows[None]
    other_view = of_first[:, None] != view[None]
    counted = jnp.concatenate([mask, mask])[None] > 0
    counted = counted & ~(same & ~other_view)
    positive = same & other_view
    each = info_nce(projection, candidates, positive, counted, temperature)
    dtype = jnp.promote_types(projection.dtype, jnp.float32)
    cosine = jax.lax.stop_gradient(projection.astype(dtype) @ candidates.astype(dtype).T)
    nearest = jnp.argmax(jnp.where(counted, cosine, -4), -1)
    return each, jnp.take_along_axis(positive, nearest[:, None], 1)[:, 0]


def online_probe(model: Model) -> Logits:
    """Returns the classifier of the online probe; it always runs in inference, without a key.

    Args:
        model: computes `Encoded`.

    Returns:
        (params, extra, batch, key, train) -> (logits [batch, classes], extra).
    """

    def logits(
        params: Params, extra: Extra, batch: Batch, key: Array | None, train: bool
    ) -> tuple[Array, Extra]:
        found, extra = model(params, extra, batch, None, False)
        return found.logits, extra

    return logits


def evaluators(
    model: Model, random: Model, splits: Splits, fractions: Sequence[float]
) -> list[Evaluator]:
    """Evaluates the online probe at each evaluation, and linear probes at the end.

    `online_accuracy` and `online_calibration_error` are of the probe that is trained with the
    encoder, on validation and, at the end, test; `majority_accuracy` of the most frequent class.
    `probe_accuracy_P` is the accuracy on test of a logistic regression on the encoder's features,
    trained on P percent of the labels; `random_accuracy_P` that on the features of an untrained
    encoder. See `probe_accuracy`.

    Args:
        model: computes `Encoded`.
        random: the same network with parameters that no objective trains.
        splits: with `image` and `label`.
        fractions: of the training labels that a probe may use, in (0, 1].
    """
    names = {fraction: f"{100 * fraction:g}" for fraction in fractions}
    metrics = {f"probe_accuracy_{name}": Metric("higher") for name in names.values()}
    metrics |= {
        f"random_accuracy_{name}": Metric("higher", baseline_of=f"probe_accuracy_{name}")
        for name in names.values()
    }

    def score(state: State) -> dict[str, float]:
        results = {}
        label = np.asarray(splits.train.arrays["label"])
        for kind, encoder in (("probe", model), ("random", random)):
            used = {fraction: labelled(label, fraction) for fraction in fractions}
            index = np.unique(np.concatenate(list(used.values())))
            parts = {
                name: _part(encoder, state, splits[name], rows, untrained=kind == "random")
                for name, rows in (("train", index), ("validation", None), ("test", None))
            }
            for fraction, name in names.items():
                kept = np.searchsorted(index, used[fraction])
                results[f"{kind}_accuracy_{name}"] = probe_accuracy(parts, kept)
        return results

    online = class_calibration.evaluator(online_probe(model), splits, "online_")
    return [online, OfState("test", score, metrics)]


Part = tuple[np.ndarray, np.ndarray]  # features [n, d], labels [n]


def _part(
    model: Model, state: State, source: Source, index: np.ndarray | None, untrained: bool
) -> Part:
    """Features and labels of some examples; None: of all."""
    rows = np.arange(len(source)) if index is None else index
    found = features_of(model, state, source, rows, untrained)
    return found, source.gather(rows)["label"]


def features_of(
    model: Model,
    state: State,
    source: Source,
    index: np.ndarray,
    untrained: bool = False,
    batch: int = 256,
) -> np.ndarray:
    """Computes the encoder's features of some examples of a source.

    Args:
        model: computes `Encoded`.
        state: its parameters.
        source: `image`.
        index: which examples, int [N].
        untrained: batch normalisation takes the statistics of each batch, since an encoder that was
            never trained has no averages of them. The batches are drawn in a fixed random order:
            those of a set in the order of its classes would each have one class, and normalisation
            would remove what distinguishes the classes.
        batch: examples per batch.

    Returns:
        float64 [N, n], in the order of `index`.
    """
    batch, chunks = min(batch, len(index)), []
    run = _compiled(model, untrained)
    # RandomState: NumPy froze its stream for good, which it does not promise for default_rng.
    random = np.random.RandomState(0)
    order = random.permutation(len(index)) if untrained else np.arange(len(index))
    for start in range(0, len(index), batch):
        rows = np.resize(index[order[start : start + batch]], batch)
        image = {"image": source.gather(rows)["image"], "row": np.arange(batch, dtype=np.int32)}
        made = np.asarray(run(state.params, state.extra, image), np.float64)
        chunks.append(made[: len(index) - start])
    return np.concatenate(chunks)[np.argsort(order)]


@functools.lru_cache(maxsize=2)
def _compiled(model: Model, untrained: bool) -> Callable[..., Array]:
    return jax.jit(
        lambda params, extra, batch: model(params, extra, batch, None, untrained)[0].features
    )


def probe_accuracy(parts: Mapping[str, Part], kept: np.ndarray) -> float:
    """Fits a logistic regression on standardised features, and returns its accuracy on test.

    Of three penalties the one with the best accuracy on validation is used; of equal ones the
    strongest.

    Args:
        parts: {split: (features [n, d], labels [n])} of "train", "validation" and "test".
        kept: indices of the examples of "train" that are fitted.
    """
    from sklearn.linear_model import LogisticRegression

    x, y = parts["train"][0][kept], parts["train"][1][kept]
    centre, scale = x.mean(0), x.std(0) + 1e-6
    fits = []
    for penalty in _PENALTIES:
        fitted = LogisticRegression(C=penalty, max_iter=300).fit((x - centre) / scale, y)
        held = [parts[name] for name in ("validation", "test")]
        fits.append(tuple(fitted.score((z - centre) / scale, label) for z, label in held))
    return float(max(fits, key=lambda each: each[0])[1])


def samples(
    title: str, model: Model, views: Views, splits: Splits, count: int = 8
) -> Callable[[State, Array], list[Sample]]:
    """Shows two views of the first test images, and the test images nearest to them by features.

    Args:
        title: what the examples are.
        model: computes `Encoded`.
        views: draws a view.
        splits: whose test split has `image` and `label`; `facts.classes` are the names.
        count: number of images.

    Returns:
        (state, key) -> samples; the key draws the views. Beside each image are the 7 nearest by
        cosine among the first 2,000 test images; those of another class are marked as wrong.
    """
    names = splits.facts.classes

    def draw(state: State, key: Array) -> list[Sample]:
        source = splits.test
        index, shown = np.arange(min(len(source), 2000)), min(count, len(source))
        found = features_of(model, state, source, index)
        unit = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        likeness = unit[:shown] @ unit.T
        np.fill_diagonal(likeness, np.inf)  # an image comes before its exact duplicates
        order = np.argsort(-likeness, 1, kind="stable")[:, : _NEIGHBOURS + 1]
        batch = source.gather(order.reshape(-1))
        own = np.repeat(batch["label"].reshape(order.shape)[:, :1], order.shape[1], 1)
        right = tuple((batch["label"] == own.reshape(-1)).tolist())
        captions = tuple(str(names[label]) for label in batch["label"])
        nearest = f"{title}: each first image and its nearest by features"
        image, row = source.gather(np.arange(shown))["image"], jnp.arange(shown)
        both = [np.asarray(views(jax.random.fold_in(key, n), row, image)) for n in range(2)]
        return [
            Images(
                f"{title}: two views of each, as in training", np.concatenate(both), (), (), shown
            ),
            Images(nearest, batch["image"], captions, right, order.shape[1]),
        ]

    return draw
