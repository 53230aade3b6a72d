"""Predicts whether two images show the same person, with a probability."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from PIL.Image import Resampling

from dlcore.bounds import Probability
from dlcore.data.facts import Facts
from dlcore.data.own import files as own_files
from dlcore.data.own import image_decoding, images
from dlcore.data.own.image_decoding import ImageLike
from dlcore.errors import UsageError
from dlcore.metrics.verification import SameProbability
from dlcore.samples import Images
from dlcore.tasks.verification import arrays_of, embedding_of
from dlcore.tasks.verification_samples import side_by_side
from dlcore.train.model import Model
from dlcore.train.predictor import Answer
from dlcore.train.step import State

Item = tuple[np.ndarray, np.ndarray]  # the two images of a pair


class PairAnswer(TypedDict):
    """The answer to a pair of images.

    Attributes:
        same: whether the images show the same person: `probability` is at least `--accept`.
        probability: that they do, the mean over the networks of all folds.
        deviation: standard deviation of the probability over the networks.
        similarity: mean cosine of the embeddings over the networks.
        threshold: the similarity of a probability of 1/2.
    """

    same: bool
    probability: float
    deviation: float
    similarity: float
    threshold: float


@dataclasses.dataclass(frozen=True)
class PairOptions:
    """Flags of `dlcore predict` for pairs."""

    accept: Probability = 0.5
    """the least probability that counts as the same person"""


@dataclasses.dataclass(frozen=True)
class PairPredictor:
    """Compares two images by the networks of all folds.

    Attributes:
        model: computes embeddings [batch, folds, d].
        facts: of the training data: the shape of the field `image`, and `resampling`.
        same: maps a similarity to a probability, fitted on unseen people; None until the run has
            been evaluated.
        options: flags of `dlcore predict`.
    """

    model: Model
    facts: Facts
    same: SameProbability | None = None
    options: PairOptions = dataclasses.field(default_factory=PairOptions)
    files_per_item = 2

    def with_results(self, results: Mapping[str, Mapping[str, float]]) -> PairPredictor:
        """Returns a copy with `same`, the map from similarity to probability, of a run's results.

        Args:
            results: {split: {metric: value}}; `same_slope` and `same_intercept` of "test" are read.
                Without them the predictor itself is returned.
        """
        found = results.get("test", {})
        if not {"same_slope", "same_intercept"} <= found.keys():
            return self
        same = SameProbability(found["same_slope"], found["same_intercept"])
        return dataclasses.replace(self, same=same)

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[Item]:
        """Reads two image files as the one pair of the returned list.

        Returns:
            [(first image, second image)], uint8 of the training images' shape, resized by the same
            resampling filter as these.

        Raises:
            UsageError: a file is not an image, another number of files, or lines of text.
        """
        if text:
            raise UsageError("this model compares images: name two image files")
        return [self.item(files)]

    def in_folder(self, folder: Path) -> list[Path]:
        """Lists the images in a folder and below it, sorted by path: two by two they are pairs.

        Raises:
            UsageError: there are none, or other files among them, after which pairs would differ.
        """
        found = own_files.below(folder)
        others = [each for each in found if each.suffix.lower() not in images.SUFFIXES]
        if others or not found:
            what = f"{others[0]}, which is no image" if others else "no images"
            raise UsageError(f"{folder} holds {what}: name two images, or a folder of images alone")
        return found

    def item(self, value: Sequence[ImageLike]) -> Item:
        """Converts two images to a pair of arrays, uint8 of the training images' shape.

        Args:
            value: two of paths and images of Pillow, which are resized, or arrays of that shape.

        Raises:
            UsageError: not two values, a file that is not an image, or another array.
        """
        if not isinstance(value, list | tuple) or len(value) != 2:
            other = len(value) if isinstance(value, list | tuple) else f"a {type(value).__name__}"
            raise UsageError(f"this model compares a list of two images, not {other}")
        return self._image(value[0]), self._image(value[1])

    def _image(self, value: ImageLike) -> np.ndarray:
        shape = tuple(self.facts.fields["image"]["shape"])
        resampling = Resampling[self.facts.get("resampling", "BILINEAR")]
        return image_decoding.of_any(value, shape, resampling)

    def batch(self, state: State, items: Sequence[Item]) -> list[Answer]:
        """Answers a batch of pairs.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            (its `PairAnswer`, the two images side by side) of each pair.

        Raises:
            UsageError: the run has not been evaluated, so that no probability is known.
        """
        if self.same is None:
            raise UsageError(
                "this run has no results on unseen people, from which the probability of a"
                " similarity is known: finish it (dlcore resume RUN)"
            )
        images = np.stack([image for item in items for image in item])
        batch = arrays_of({"image": images, "row": np.arange(len(images), dtype=np.int32)})
        found = np.asarray(embedding_of(self.model)(state.params, state.extra, batch), np.float64)
        cosine = (found[::2] * found[1::2]).sum(-1)
        answers: list[Answer] = []
        for (first, second), each in zip(items, cosine, strict=True):
            answer = self._answer(each)
            caption = f"one person {answer['probability']:.0%}"
            shown = side_by_side(first, second)[None]
            answers.append((answer, Images("Compared", shown, (caption,))))
        return answers

    def _answer(self, cosine: np.ndarray) -> PairAnswer:
        assert self.same is not None
        probability = self.same(cosine)
        return {
            "same": bool(probability.mean() >= self.options.accept),
            "probability": round(float(probability.mean()), 6),
            "deviation": round(float(probability.std()), 6),
            "similarity": round(float(cosine.mean()), 6),
            "threshold": round(self.same.threshold, 6),
        }

    def line(self, answer: PairAnswer) -> str:
        """Formats an answer: the decision, the probability, the similarity and its threshold."""
        return (
            f"{'same person' if answer['same'] else 'different people'}: probability of one person"
            f" {answer['probability']:.1%} (similarity {answer['similarity']:.3f}, even at"
            f" {answer['threshold']:.3f})"
        )


def predictor(model: Model, facts: Facts) -> PairPredictor:
    """Returns a `PairPredictor`, which answers only after `PairPredictor.with_results`."""
    return PairPredictor(model, facts)
