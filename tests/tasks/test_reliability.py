"""Reliability diagrams, worked out by hand."""

from __future__ import annotations

import pytest

from dlcore.tasks.reliability import diagram


def test_a_curve_of_each_kind_beside_the_diagonal() -> None:
    kinds = {
        "one bin": ([0.75, 0.75, 0.75, 0.75], [True, True, True, False]),
        "two bins": ([0.25, 1 + 1e-7], [True, True]),  # rounding took a probability above 1
    }
    made = diagram("title", "x", "y", kinds)
    diagonal, one, two = made.series
    assert (made.title, made.x, made.y) == ("title", "x", "y")
    assert diagonal.x.tolist() == diagonal.y.tolist() == [0, 1]
    assert (one.name, two.name) == ("one bin, error 0.000", "two bins, error 0.375")
    assert (one.x.tolist(), one.y.tolist()) == ([0.75], [0.75])
    assert (two.x.tolist(), two.y.tolist()) == (pytest.approx([0.25, 1]), [1, 1])
