"""Captioning of pictures: beam search, metrics (BLEU, CIDEr, exact match), attention, samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from PIL import Image

from dlcore.data.sets.captions import END, START, UNKNOWN, CaptionedImages, text
from dlcore.data.splits import Splits
from dlcore.errors import UsageError
from dlcore.metrics.calibration import reliability
from dlcore.metrics.known import Metric
from dlcore.models.beam import Step, beam_search
from dlcore.models.captioning import Captioner, DecoderKind, Size, begin
from dlcore.samples import Images, Part, PartWriter, Sample
from dlcore.tasks import language_modelling
from dlcore.tasks.caption_scores import SCORES, by_length, nearest, scores
from dlcore.tasks.image_inputs import to_signed
from dlcore.tasks.reliability import diagram
from dlcore.train.evaluators import Collected, Evaluator, OfState, Schedule, Scored
from dlcore.train.step import Batch, Params, State

loss = language_modelling.loss


def check(decoder: DecoderKind, width: int, heads: int) -> None:
    """Checks that the heads of a Transformer divide its width.

    Raises:
        UsageError: they do not.
    """
    if decoder == "transformer" and width % heads:
        raise UsageError(f"--width {width} is no multiple of --heads {heads}: give one")


def inputs(batch: Batch, key: Array | None, train: bool) -> tuple[Array, Array]:
    """Returns `image` as float32 in [-1, 1], and `tokens`; the `inputs` of a `Model`.

    The arguments `key` and `train` are not used.
    """
    return to_signed(batch["image"]), batch["tokens"]


@dataclasses.dataclass(frozen=True)
class Describer:
    """Captions pictures by beam search with a trained network, by its method `search`.

    Attributes:
        size: of the network, `models.captioning.Size`.
        vocabulary: the word of each token.
        beams: number of hypotheses of the evaluation at the end and of samples, and the default of
            predictions; `search` itself is given a number.
        penalty: exponent of the length penalty (Wu et al. 2016, eq. 14).
        name: of the model in the state.
        rarest: occurrences in training from which a word is in the vocabulary. Above 1 training
            captions may have `UNKNOWN`, which then has probability 0.
    """

    size: Size
    vocabulary: Sequence[str]
    beams: int = 3
    penalty: float = 0.6
    name: str = "net"
    rarest: int = 1

    def search(self, params: Params, image: Array, beams: int) -> tuple[Array, Array, Array]:
        """Computes the highest-scoring caption of each picture.

        Args:
            params: of all models.
            image: uint8 [batch, height, width, 3].
            beams: number of hypotheses; 1: greedy decoding.

        Returns:
            Tokens int32 [batch, size.longest], filled up with `END` after the caption; the sum of
            the log-probabilities of the caption and of its first `END`, if it has one, in nats
            [batch]; and the attention weights over the picture with which each token is predicted,
            averaged over heads and layers, [batch, size.longest, positions].
        """
        length, pixels = self.size.longest, to_signed(image)
        step, state = begin(self.size, params[self.name], pixels, beams, length)
        if self.rarest > 1:  # at 1 no training caption has an unknown word
            step = _without_unknown(step)
        first = jnp.full(len(image), START, jnp.int32)
        found, worth = beam_search(
            step, state, first, beams=beams, length=length, end=END, penalty=self.penalty
        )
        tokens = found[:, 0]
        count = jnp.minimum((tokens != END).sum(1) + 1, length)
        total = worth[:, 0] * ((5.0 + count) / 6.0) ** self.penalty
        before = jnp.concatenate([first[:, None], tokens[:, :-1]], 1)
        net, variables = Captioner(self.size), {"params": params[self.name]}
        grid = net.apply(variables, pixels, method="encode")
        decoded: Any = net.apply(variables, before, grid, method="decode")
        return tokens, total, decoded[1]


def _without_unknown(step: Step[Array]) -> Step[Array]:
    """A step of a search that never takes `UNKNOWN`; other words share its probability."""

    def of_known(tokens: Array, state: Array, position: Array) -> tuple[Array, Array]:
        logits, state = step(tokens, state, position)
        return logits.at[..., UNKNOWN].set(-jnp.inf), state

    return of_known


def evaluators(describer: Describer, splits: Splits) -> list[Evaluator]:
    """Evaluates `scores` of greedy captions during training, and of beam search at the end.

    Greedy captions (suffix `_greedy`) are scored on validation during training and on test at the
    end; those of beam search (no suffix) on validation and test at the end, with
    `calibration_error`, that of a caption's probability, taken as the probability that the caption
    equals the true one. At the end also, on test: with the suffix
    `_of_nearest`, `scores` of the caption of the training picture whose pixels are nearest, and
    `with_unknown_word`, the fraction of true captions with a word that is not in the vocabulary,
    which the network cannot generate: training lacks it, or has it less than `--rarest` times.

    Args:
        describer: captions the pictures.
        splits: of `data.sets.captions`; train has the nearest pictures, validation and test are
            scored.
    """
    train, validation, test = splits.train, splits.validation, splits.test

    def baseline(state: State) -> dict[str, float]:
        index = nearest(train.arrays["image"], test.arrays["image"])
        found = scores([train.captions[i] for i in index], test.captions, "_of_nearest")
        unknown = (test.arrays["targets"] == UNKNOWN).any(1)
        return {**found, "with_unknown_word": float(unknown.mean())}

    def made(sources: dict[str, Any], beams: int, suffix: str, every: Schedule) -> Evaluator:
        def collect(state: State, batch: Batch) -> dict[str, Array]:
            tokens, total, _ = describer.search(state.params, batch["image"], beams)
            return {"tokens": tokens, "log_probability": total}

        def score(collected: Collected, split: str) -> dict[str, float]:
            found = [text(each, describer.vocabulary) for each in collected["tokens"]]
            metrics = scores(found, sources[split].captions, suffix)
            if not suffix:
                exact = [a == b for a, b in zip(found, sources[split].captions, strict=True)]
                probability = np.exp(np.minimum(collected["log_probability"], 0.0))
                metrics["calibration_error"] = reliability(probability, np.array(exact)).error
            return metrics

        metrics = {f"{name}{suffix}": Metric("higher") for name in SCORES}
        if not suffix:
            metrics["calibration_error"] = Metric("lower")
        return Scored(sources, collect, score, metrics, every)

    references = {f"{name}_of_nearest": Metric(None, baseline_of=name) for name in SCORES}
    return [
        made({"validation": validation}, 1, "_greedy", "eval"),
        made({"test": test}, 1, "_greedy", "end"),
        made({"validation": validation, "test": test}, describer.beams, "", "end"),
        OfState("test", baseline, {**references, "with_unknown_word": Metric(None)}, "end"),
    ]


@dataclasses.dataclass(frozen=True)
class Attention:
    """Shows a picture with the attention weights at each word of its caption.

    Attributes:
        title: heading.
        image: uint8 [height, width, 3].
        words: of the caption.
        weights: attention [words, positions], of a square grid over the picture in rows.
        reference: the true caption, "" where it is not known.
    """

    title: str
    image: np.ndarray
    words: tuple[str, ...]
    weights: np.ndarray
    reference: str = ""

    def parts(self, files: PartWriter) -> list[Part]:
        """Writes the picture and, for each word, a darkened copy that is bright by its weights.

        The picture's caption is `reference`, or "picture" where that is empty.

        Returns:
            One part, with all the images.
        """
        shown = [self.image, *(lit(self.image, each) for each in self.weights)]
        captions = (self.reference or "picture", *self.words)
        return [files.pictures(np.stack(shown), captions, columns=min(12, len(shown)))]


def lit(image: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Returns a picture, uint8, times 0.15 (weight 0) to 1 (the largest weight) at each pixel.

    Args:
        image: uint8 [height, width, c].
        weight: not negative, [positions] of a square grid over the picture in rows; interpolated.
    """
    side = round(len(weight) ** 0.5)
    scaled = np.rint(255 * weight / max(float(weight.max()), 1e-9))
    grid = scaled.reshape(side, side).astype(np.uint8)
    size = (image.shape[1], image.shape[0])
    mask = np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BILINEAR), np.float32)
    return np.rint(image * (0.15 + 0.85 * mask[..., None] / 255)).astype(np.uint8)


def samples(
    describer: Describer, test: CaptionedImages, count: int = 30, detailed: int = 6
) -> Callable[[State, Array], list[Sample]]:
    """Shows captions of test pictures, their scores and reliability, and the attention.

    Args:
        describer: captions the pictures.
        test: the pictures, of which the first 8 * `count` are scored.
        count: number of pictures that are shown with their captions, the first ones.
        detailed: number of first pictures of which the attention at each word is drawn; at most
            `count`.

    Returns:
        (state, key) -> samples: the pictures with their captions; a table of BLEU and exact
        matches by the number of words of the true caption (`by_length`); a reliability diagram of
        exact matches, as `calibration_error` is; and an `Attention` of each detailed picture. The
        key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        pictures = np.asarray(test.arrays["image"][: 8 * count])
        every, probability, weights = _described(describer, state.params, pictures, count)
        table = by_length("Test pictures", every, test.captions[: len(every)])
        exact = [a == b for a, b in zip(every, test.captions[: len(every)], strict=True)]
        axes = "probability of the caption", "fraction that is the true caption"
        reliable = diagram("Test pictures: reliability", *axes, {"model": (probability, exact)})
        images, found, truth = pictures[:count], every[:count], test.captions[:count]
        right = tuple(exact[:count])
        captions = tuple(
            a if a == b else f"{a} (true: {b})" for a, b in zip(found, truth, strict=True)
        )
        shown: list[Sample] = [
            Images("Test pictures and their captions", images, captions, right, 6),
            table,
            reliable,
        ]
        for i in range(min(detailed, len(images))):
            words = tuple(found[i].split())
            title = f"Where it looks, word by word: {found[i]}"
            shown.append(Attention(title, images[i], words, weights[i, : len(words)], truth[i]))
        return shown

    return draw


def _described(
    describer: Describer, params: Params, images: np.ndarray, batch: int
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Captions of pictures and their probabilities, and the attention in the first batch."""
    run = jax.jit(lambda params, x: describer.search(params, x, describer.beams))
    captions: list[str] = []
    probability, attention = [], []
    for start in range(0, len(images), batch):
        # one shape: the last batch is filled up
        rows = np.resize(np.arange(start, min(start + batch, len(images))), batch)
        tokens, total, weights = run(params, images[rows])
        captions += [text(each, describer.vocabulary) for each in np.asarray(tokens)]
        probability.append(np.exp(total))
        attention.append(weights)
    found = np.concatenate(probability)[: len(images)]
    return captions[: len(images)], found, np.asarray(attention[0])
