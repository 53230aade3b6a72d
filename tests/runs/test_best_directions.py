"""Which values of a metric are better: declared or known by its exact name, never guessed."""

from __future__ import annotations

import pytest

from dlcore.errors import UsageError
from dlcore.metrics.known import KNOWN, Metric, known
from dlcore.runs import catalog
from dlcore.train.experiment import best_of
from tests.runs.test_best import replaced


@pytest.mark.quick
@pytest.mark.parametrize(
    ("best", "metrics", "expected"),
    [
        ("", {}, ""),
        ("validation/accuracy", {}, "validation/accuracy"),
        ("validation/loss", {}, "-validation/loss"),
        ("-validation/loss", {}, "-validation/loss"),
        ("-validation/odd", {}, "-validation/odd"),
        ("validation/odd", {"odd": Metric("lower")}, "-validation/odd"),
        ("validation/loss", {"loss": Metric("higher")}, "validation/loss"),
        (
            "validation/odd",
            {},
            "odd is no metric that dlcore knows: .* declare whether higher or lower is better",
        ),
        (
            "validation/odd",
            {"odd": Metric(None)},
            "odd is no metric that dlcore knows: .* declare whether higher or lower is better",
        ),
        (
            "-validation/accuracy",
            {},
            "says that lower is better, but accuracy is declared as better when higher",
        ),
        ("test/accuracy", {}, "one of validation"),
        ("dev/accuracy", {}, "one of validation"),
        ("validation", {}, "must be SPLIT/METRIC"),
    ],
)
def test_which_direction_is_better_is_declared(
    best: str, metrics: dict[str, Metric], expected: str
) -> None:
    experiment = replaced(best=best, metrics=metrics)
    if " " in expected:
        with pytest.raises(UsageError, match=expected):
            best_of(experiment)
    else:
        assert best_of(experiment) == expected


@pytest.mark.quick
def test_no_direction_is_guessed_from_a_name() -> None:
    assert known("bleu_lowercase").better is None  # it contains "wer"
    assert known("score").better is None
    assert known("net/accuracy") == KNOWN["accuracy"] == Metric("higher")
    assert known("net/odd", {"odd": {"better": "lower", "unit": "m"}}) == Metric("lower", "m")
    assert known("odd", {"odd": {"better": "sideways"}}) == Metric(None)


@pytest.mark.quick
@pytest.mark.parametrize("name", catalog.names())
def test_every_experiment_says_what_is_best_without_a_sign(name: str) -> None:
    assert 'best="-' not in (catalog.folder() / f"{name}.py").read_text(encoding="utf-8")
