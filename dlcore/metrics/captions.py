"""CIDEr-D, the agreement of captions with references, weighted by how rare their words are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

ORDERS = (1, 2, 3, 4)  # n-grams
SIGMA = 6.0  # of the penalty for another length, in words


def cider(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Computes CIDEr-D of a corpus (Vedantam et al. 2015, eq. 3 to 6).

    Captions are split into words at whitespace; n-grams of 1 to 4 words count equally. The weight
    of an n-gram is log(number of images / number of images whose references contain it), so that
    one image alone scores 0. The score of a caption of fewer than n words is 0 for n-grams, so that
    a perfect caption of one word has 2.5.

    Args:
        hypotheses: one caption for each image.
        references: one or several captions for each image, over which its score is averaged.

    Returns:
        The mean over images, between 0 and 10.

    Raises:
        ValueError: no images, references for a different number of images, or an image without any.
    """
    if not hypotheses or len(hypotheses) != len(references) or not all(map(len, references)):
        raise ValueError(
            f"{len(hypotheses)} captions need references for as many images, not {len(references)}"
        )
    documents: Counter[tuple[str, ...]] = Counter()
    for each in references:
        documents.update({gram for text in each for gram in _grams(text)})
    total = np.log(len(references))
    weigh = lambda gram: total - np.log(max(1, documents[gram]))  # noqa: E731
    scores = []
    for hypothesis, each in zip(hypotheses, references, strict=True):
        similar = [_similarity(hypothesis, reference, weigh) for reference in each]
        scores.append(np.mean(similar))
    return float(10 * np.mean(scores))


def _grams(text: str) -> Counter[tuple[str, ...]]:
    words = text.split()
    return Counter(tuple(words[i : i + n]) for n in ORDERS for i in range(len(words) - n + 1))


def _similarity(
    hypothesis: str, reference: str, weigh: Callable[[tuple[str, ...]], float]
) -> float:
    """The mean over n of the clipped cosine, times the penalty for another length."""
    a, b = _grams(hypothesis), _grams(reference)
    difference = len(hypothesis.split()) - len(reference.split())
    penalty = np.exp(-(difference**2) / (2 * SIGMA**2))
    cosines = []
    for n in ORDERS:
        of_a, of_b = (
            {gram: count * weigh(gram) for gram, count in grams.items() if len(gram) == n}
            for grams in (a, b)
        )
        norm = np.sqrt(sum(x * x for x in of_a.values()) * sum(x * x for x in of_b.values()))
        inner = sum(min(x, of_b[gram]) * of_b[gram] for gram, x in of_a.items() if gram in of_b)
        cosines.append(inner / norm if norm > 0 else 0.0)
    return float(penalty * np.mean(cosines))
