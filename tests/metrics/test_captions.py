"""CIDEr-D by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.metrics.captions import cider

pytestmark = pytest.mark.quick
REFERENCES = [["a b"], ["a c"]]


def test_two_images_by_hand() -> None:
    """Every image has "a", which weighs log(2 / 2) = 0; "b", "c" and the pairs weigh log 2.

    A right caption has cosine 1 for one and for two words, and no longer n-grams: 10 (1 + 1) / 4.
    """
    assert cider(["a b", "a c"], REFERENCES) == pytest.approx(5.0)
    assert cider(["a b", "a b"], REFERENCES) == pytest.approx(2.5)
    assert cider(["x", "y"], REFERENCES) == 0.0


def test_repeated_words_are_clipped_and_another_length_costs() -> None:
    """ "a b b" has b twice: the product is clipped to log(2)^2, over norms of 2 log 2 and log 2;
    of its pairs "a b" is right and "b b" is in no reference, so it weighs log 2: cosine 1 / sqrt 2.
    One word more costs exp(-1 / (2 6^2)).
    """
    cosines = [0.5, 1 / np.sqrt(2), 0, 0]
    expected = 10 * (np.exp(-1 / 72) * np.mean(cosines) + 0.5) / 2
    assert cider(["a b b", "a c"], REFERENCES) == pytest.approx(expected)


def test_several_references_are_averaged_and_counted_once_per_image() -> None:
    references = [["a b", "d e"], ["a c", "a c"]]
    assert cider(["a b", "a c"], references) == pytest.approx((2.5 + 5.0) / 2)


def test_missing_references_are_refused() -> None:
    with pytest.raises(ValueError, match="references for as many images"):
        cider(["a"], [])
    with pytest.raises(ValueError, match="references for as many images"):
        cider(["a"], [[]])
