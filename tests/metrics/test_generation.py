"""Corpus metrics against SciPy and worked examples."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from dlcore.metrics.calibration import reliability
from dlcore.metrics.generation import frechet, neighbours
from dlcore.metrics.images import psnr
from dlcore.metrics.text import bleu
from dlcore.runs.summary import spread, summary


def test_frechet_of_two_one_dimensional_samples_by_hand() -> None:
    # Means 1 and 4, variances 2 and 2: (1 - 4)^2 + 2 + 2 - 2 sqrt(2 * 2) = 9.
    assert frechet(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]])) == pytest.approx(
        9.0, abs=1e-12
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_frechet_equals_the_matrix_square_root(seed: int, d: int) -> None:
    random = np.random.default_rng(seed)
    a = random.normal(size=(40, d)) @ random.normal(size=(d, d))
    b = random.normal(size=(50, d)) @ random.normal(size=(d, d)) + random.normal(size=d)
    ca, cb = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    root = np.real(scipy.linalg.sqrtm(ca @ cb))
    want = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * root)
    assert frechet(a, b) == pytest.approx(want, rel=1e-5, abs=1e-6)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)


def test_frechet_of_a_sample_and_itself_is_zero_also_where_features_are_constant() -> None:
    a = np.random.default_rng(0).normal(size=(30, 5))
    a[:, 2] = 7.0  # a dead feature: a singular covariance
    assert frechet(a, a) == pytest.approx(0.0, abs=1e-9)
    assert frechet(a, a + 1) == pytest.approx(5.0, rel=1e-9)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("a", "b"), [((3, 2), (3, 4)), ((1, 2), (3, 2)), ((3,), (3,))])
def test_frechet_refuses_what_it_cannot_compare(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="features must be"):
        frechet(np.zeros(a), np.zeros(b))


@pytest.mark.usefixtures("unchecked")
def test_psnr_by_hand() -> None:
    # Mean squared errors 0.01 and 0.0001: 20 and 40 decibels, and their mean.
    images, reference = np.zeros((2, 2, 2)), np.array([np.full((2, 2), 0.1), np.full((2, 2), 0.01)])
    assert psnr(images, reference) == pytest.approx(30.0)
    assert psnr(reference[:1], reference[:1]) == np.inf
    with pytest.raises(ValueError, match="one shape"):
        psnr(images, images[:1])


def test_bleu_by_hand() -> None:
    # Of 5, 4, 3 and 2 n-grams 5, 3, 2 and 1 are right: their product is 1/4. Five words for six
    # cost e^(1 - 6/5).
    score, signature = bleu(["the cat sat on mat"], ["the cat sat on the mat"])
    assert score == pytest.approx(100 * math.exp(-0.2) * 0.25**0.25)
    assert signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert bleu(["A b c, d e."], ["a B C, d E."])[0] < 100
    assert bleu(["A b c, d e."], ["a B C, d E."], lowercase=True)[0] == pytest.approx(100)
    assert "case:lc" in bleu(["a"], ["a"], lowercase=True)[1]
    for hypotheses, references in (([], []), (["a"], [])):
        with pytest.raises(ValueError, match="cannot be compared with"):
            bleu(hypotheses, references)


def test_bleu_is_that_of_the_command(tmp_path: Path) -> None:
    hypotheses, references = (
        ["A man, in a hat.", "Two dogs are running!"],
        [
            "A man in a red hat.",
            "Two dogs run.",
        ],
    )
    for name, texts in (("out", hypotheses), ("reference", references)):
        (tmp_path / name).write_text("\n".join(texts) + "\n", encoding="utf-8")
    words = ["sacrebleu", "reference", "-i", "out", "--format", "text", "-w", "6"]
    finished = subprocess.run(
        [sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    score, signature = bleu(hypotheses, references)
    assert finished.startswith(f"BLEU|{signature} = {score:.6f} ")


@pytest.mark.quick
def test_reliability_worked_by_hand() -> None:
    p = np.array([0.1, 0.05, 0.95, 0.9, 1.0, 0.0, 0.55])
    true = np.array([0, 1, 1, 1, 0, 0, 1])
    found = reliability(p, true)
    np.testing.assert_allclose(found.low, [0, 0.5, 0.8, 0.9])  # a bound belongs to the bin below it
    np.testing.assert_array_equal(found.examples, [3, 1, 1, 2])
    np.testing.assert_allclose(found.predicted, [0.05, 0.55, 0.9, 0.975])
    np.testing.assert_allclose(found.observed, [1 / 3, 1, 1, 0.5])
    gaps = 3 * (1 / 3 - 0.05) + 0.45 + 0.1 + 2 * 0.475
    assert found.error == pytest.approx(gaps / 7)
    for outcomes in ([0, 1, -1, 1, 0, 0, 1], [0, 1, np.nan, 1, 0, 0, 1]):
        with pytest.raises(ValueError, match="an outcome is 0 or 1, not"):
            reliability(p, np.array(outcomes))


@pytest.mark.quick
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("bins", [1, 3, 10, 25, 50, 100])
def test_every_bound_is_in_the_bin_below_it(bins: int, dtype: str) -> None:
    """k / bins itself ends bin k; the next number above it begins the bin after."""
    bounds = (np.arange(1, bins + 1) / bins).astype(dtype)
    found = reliability(bounds, np.ones(bins), bins)
    np.testing.assert_array_equal(found.examples, np.ones(bins))
    np.testing.assert_array_equal(found.high.astype(dtype), bounds)
    np.testing.assert_allclose(found.low, np.arange(bins) / bins)
    above = reliability(
        np.nextafter(np.append(0, bounds[:-1]).astype(dtype), np.ones(bins, dtype)),
        np.ones(bins),
        bins,
    )
    np.testing.assert_array_equal(above.high, found.high)
    # whole numbers
    assert reliability(np.array([0, 1]), np.ones(2), bins).low.tolist() == sorted(
        {0.0, (bins - 1) / bins}
    )
    with pytest.raises(ValueError, match="0 bins"):
        reliability(bounds, np.ones(bins), 0)


@pytest.mark.quick
def test_reliability_of_calibrated_and_of_overconfident_probabilities() -> None:
    generator = np.random.default_rng(0)
    p = generator.random(200_000)
    true = generator.random(200_000) < p
    assert reliability(p, true).error < 0.01
    assert reliability(np.where(p > 0.5, 1.0, 0.0), true).error == pytest.approx(0.25, abs=0.01)
    for wrong in (np.array([1.5]), np.array([np.nan]), np.array([])):
        with pytest.raises(ValueError, match="probabilities"):
            reliability(wrong, np.zeros(len(wrong)))


def test_neighbours_by_hand() -> None:
    # On a line at 0, 1 and 3 the second neighbours are 3, 2 and 3 away: the balls are [-3, 3], [-1,
    # 3] and [0, 6].
    line = np.array([[0.0], [1.0], [3.0]])
    assert neighbours(line, np.array([[-3.0], [-3.1], [6.0], [6.1]]), k=2) == 0.5
    # The first neighbours are 1, 1 and 2 away: [-1, 1], [0, 2], [1, 5].
    assert neighbours(line, np.array([[-1.0], [4.0], [5.5], [-1.5]]), k=1) == 0.5
    with pytest.raises(ValueError, match="neighbour number 3"):
        neighbours(line, line)
    with pytest.raises(ValueError, match="neighbour number 0"):
        neighbours(line, line, k=0)


def test_neighbours_tell_what_is_missing_from_what_is_wrong() -> None:
    random = np.random.default_rng(0)
    real = np.concatenate([random.normal(0, 1, (300, 4)), random.normal(20, 1, (300, 4))])
    half, stray = real[:300] + random.normal(0, 0.1, (300, 4)), np.concatenate([real, real + 200])
    assert neighbours(real, half) > 0.95  # all that is drawn is real,
    assert neighbours(half, real) == pytest.approx(0.5, abs=0.05)  # but one mode of two is missing
    assert neighbours(real, stray) == pytest.approx(0.5)  # half of what is drawn is nowhere near
    assert neighbours(stray, real) == 1.0


@pytest.mark.quick
def test_means_over_seeds_stand_numbers_that_are_none_and_metrics_that_one_lacks() -> None:
    assert (
        spread({"loss": [1.0, 2.0], "worse": [1.0, float("nan")]})
        == "loss 1.5000 ± 0.71  worse nan ± nan"
    )
    assert summary([{"test": {"a": 1.0, "b": 2.0}}, {"test": {"a": 3.0}}]) == {
        "test": "a 2.0000 ± 1.4"
    }
    assert summary([]) == {}
