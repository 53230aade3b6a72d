"""Parts of a model's parameters that come from a trained model."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.train.subtrees import load_subtree

pytestmark = pytest.mark.quick


def test_a_subtree_takes_just_the_named_subtrees() -> None:
    params = {
        "encoder": {"dense": {"kernel": np.zeros((2, 3), np.float32)}, "other": np.zeros(2)},
        "head": np.ones(4),
    }
    donor = {"body": {"kernel": np.full((2, 3), 7, np.float16)}, "head": np.zeros(4)}
    got = load_subtree(params, donor, {"encoder/dense": "body"})
    np.testing.assert_array_equal(got["encoder"]["dense"]["kernel"], np.full((2, 3), 7))
    assert got["encoder"]["dense"]["kernel"].dtype == np.float32
    np.testing.assert_array_equal(got["head"], np.ones(4))
    np.testing.assert_array_equal(params["encoder"]["dense"]["kernel"], np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"encoder": "body"},
            r"the trained model has no 'body': where 'body' should be, it has encoder",
        ),
        (
            {"encoder/nothing": "encoder"},
            r"the model has no 'encoder/nothing': where 'nothing' should be, it has kernel",
        ),
        (
            {"encoder": "encoder"},
            (
                r"encoder of the trained model has other sizes than encoder of this one: kernel is"
                r" \(3, 2\), not \(2, 3\). Give the flags of sizes"
            ),
        ),
    ],
)
def test_a_subtree_that_does_not_fit_is_refused(parts: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_subtree(
            {"encoder": {"kernel": np.zeros((2, 3))}},
            {"encoder": {"kernel": np.zeros((3, 2))}},
            parts,
        )
