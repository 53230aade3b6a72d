"""Overfitting, said from the losses alone: values worked by hand around every threshold."""

from __future__ import annotations

import math

import pytest

from dlcore.analysis.diagnosis_summary import GENERAL, overfitting

pytestmark = pytest.mark.quick

STEPS = [10, 20, 30, 40]


def summary_of(validation: list[float], train: list[float]) -> str | None:
    """Of losses at steps 10, 20, ...; a training loss is logged twice between evaluations, around
    the value.
    """
    logged = [
        (step - 9 + 9 * i, value * (0.9 + 0.2 * i))
        for step, value in zip(STEPS, train, strict=False)
        for i in (0, 1)
    ]
    steps = STEPS[: len(validation)]
    return overfitting(([s for s, _ in logged], [v for _, v in logged]), (steps, validation))


FALLING = [1.0, 0.8, 0.7, 0.6]


@pytest.mark.parametrize(
    ("validation", "train", "words"),
    [
        (
            [2.0, 1.0, 1.1, 1.2],
            FALLING,
            (
                "Overfitting since step 20: the validation loss rose from 1 to 1.2, while the"
                " training loss fell from 0.8 to 0.6. The best checkpoint is from before"
            ),
        ),
        ([2.0, 1.0, 0.9, 0.8], FALLING, GENERAL),
        ([2.0, 1.0, 1.0, 1.09], FALLING, GENERAL),  # within a tenth
        ([2.0, 1.0, 1.0, 1.11], FALLING, "Overfitting since step 20"),
        ([9.0, 1.0, 1.0, 1.15], FALLING, GENERAL),  # within a fiftieth of what it had fallen
        ([9.0, 1.0, 1.0, 1.17], FALLING, "Overfitting since step 20"),
        # training does not get better either: no memory of examples
        ([2.0, 1.0, 1.1, 1.2], [1.0, 0.8, 0.9, 0.9], GENERAL),
        (
            [-2.0, -3.0, -2.9, -2.5],
            [-1.0, -3.0, -4.0, -5.0],
            "Overfitting since step 20: the validation loss rose from -3 to -2.5",
        ),
        (
            [2.0, 1.0, 1.0, 1.0],
            [1.0, 0.8, 0.3, 0.2],
            (
                "Overfitting since step 20: the validation loss stays at 1, while the "
                "training loss fell from 0.8 to 0.2. Regularisation"
            ),
        ),
        # no more than twice the training loss
        ([2.0, 1.0, 1.0, 1.0], [1.0, 0.8, 0.6, 0.55], GENERAL),
        # twice the training loss and no more
        ([2.0, 1.0, 1.0, 1.0], [1.0, 0.8, 0.5, 0.5], GENERAL),
        ([2.0, 1.0, 1.0, 0.98], [1.0, 0.8, 0.3, 0.2], GENERAL),  # still falls
        ([2.0, 1.0, 1.0, 1.0], [0.25, 0.2, 0.2, 0.16], GENERAL),  # apart from the beginning
        (
            [1.0, 1.0, 1.0, 1.0],
            [1.0, 0.8, 0.3, 0.2],
            "Overfitting since step 20: the validation loss stays at 1",
        ),
        (
            [2.0, math.nan, 1.0, 1.2],
            FALLING,
            "Overfitting since step 30: the validation loss rose from 1 to 1.2",
        ),
        ([2.0, 1.0], FALLING, None),
        ([2.0, 1.0, math.nan], FALLING, None),
        ([2.0, 1.0, 1.5], [], None),
    ],
)
def test_descriptions(validation: list[float], train: list[float], words: str | None) -> None:
    found = summary_of(validation, train)
    assert found is None if words is None else found is not None and found.startswith(words)


def test_without_a_training_loss_between_two_evaluations_the_last_one_counts() -> None:
    found = overfitting(([1, 15, 25], [5.0, 2.0, 0.5]), ([10, 20, 30, 40], [2.0, 1.0, 1.1, 1.2]))
    assert found is not None
    assert "fell from 2 to 0.5" in found
    assert overfitting(([35], [0.5]), ([10, 20, 30, 40], [2.0, 1.0, 1.1, 1.2])) is None, (
        "nothing was logged before the best"
    )
