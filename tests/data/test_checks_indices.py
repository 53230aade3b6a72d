"""Indices that a loss cannot take: labels and tokens outside the outputs are refused."""

from __future__ import annotations

import numpy as np
import pytest

from dlcore.data import checks
from dlcore.data.checks import Indices
from dlcore.data.source import Partnered, windows
from dlcore.errors import UsageError
from tests.data.test_checks import Made, kinds, source


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_labels_outside_the_classes_are_refused(kind: int, dtype: type) -> None:
    checks.check_indices(
        {"train": kinds("label", np.arange(10).astype(dtype))[kind]}, {"label": Indices(10)}
    )
    with pytest.raises(
        UsageError,
        match=(
            r"split train \(\w+ 1\): 'label' of example 9 is 10, and the loss uses 'label' as an"
            r" index of 10 outputs: "
            "it must be 0 to 9; number the classes from 0"
        ),
    ):
        checks.check_indices(
            {"train": kinds("label", np.arange(1, 11).astype(dtype))[kind]}, {"label": Indices(10)}
        )
    if np.iinfo(dtype).min < 0:
        with pytest.raises(UsageError, match="'label' of example 3 is -1"):
            checks.check_indices(
                {"test": kinds("label", np.array([0, 1, 2, -1], dtype))[kind]},
                {"label": Indices(10)},
            )


def test_fields_that_no_loss_has_declared_may_hold_anything() -> None:
    checks.check_indices(
        {"train": source(identity=[-5, 10**6], label=[0, 1])},
        {"label": Indices(2), "absent": Indices(1)},
    )


def test_what_weighs_nothing_may_be_any_number() -> None:
    targets, weight = np.array([[1, -100], [2, 0]]), np.array([[1, 0], [1, 1.0]])
    fields = {"targets": Indices(3, ("weight",))}
    checks.check_indices({"train": source(targets=targets, weight=weight)}, fields)
    with pytest.raises(UsageError, match="'targets' of example 0 is -100"):
        checks.check_indices({"train": source(targets=targets, weight=np.ones((2, 2)))}, fields)
    # weights of another shape say nothing of one number
    with pytest.raises(UsageError, match="'targets' of example 0 is -100"):
        checks.check_indices(
            {"train": source(targets=targets, weight=np.array([1.0, 0.0]))}, fields
        )


def test_minus_1_is_allowed_where_every_loss_expects_it() -> None:
    for declared, message in ((1, "example 2 is -2, and .* it must be -1 to 2"), (2, "1 is -1")):
        with checks.declared() as fields:
            checks.index_below("label", 3, least=-1)
            if declared == 2:
                checks.index_below("label", 4)
        with pytest.raises(UsageError, match=message):
            checks.check_indices({"test": source(label=[2, -1, -2])}, fields)


def test_one_output_takes_nothing_but_0() -> None:
    with pytest.raises(UsageError, match=r"an index of 1 outputs: it must be 0; number"):
        checks.check_indices({"train": source(label=[0, 1])}, {"label": Indices(1)})
    with pytest.raises(UsageError, match=r"an index of 2 outputs: it must be 0 to 1; number"):
        checks.check_indices({"train": source(label=[0, 2])}, {"label": Indices(2)})


def test_arrays_are_read_to_their_end_and_other_sources_for_64_examples() -> None:
    label = np.zeros(200, np.int32)
    label[64] = -1
    fields = {"label": Indices(2)}
    for behind in (
        source(label=label),
        Partnered(source(label=label)),
        Partnered(Partnered(source(label=label))),
    ):
        with pytest.raises(UsageError, match="'label' of example 64 is -1"):
            checks.check_indices({"train": behind}, fields)
    checks.check_indices({"train": Made("label", label)}, fields)
    with pytest.raises(UsageError, match="'label' of example 63 is -1"):
        checks.check_indices({"train": Made("label", label[1:])}, fields)


def test_tokens_of_a_text_are_looked_at_where_they_lie() -> None:
    text = np.array([0, 1, 2, 3, 2, 1])
    made = windows("text", "1", "train", text, 2, 1)
    checks.check_indices({"train": made}, {"targets": Indices(4, ("weight",))})
    with pytest.raises(
        UsageError,
        match=r"split train \(text 1\): token 3 is 3, and .* 3 outputs: it must be 0 to 2",
    ):
        checks.check_indices({"train": made}, {"targets": Indices(3, ("weight",))})
    cut = windows("text", "1", "train", text + np.array([0, 0, 0, 0, 2**32, 0]), 2, 1)
    with pytest.raises(UsageError, match="token 4 is 4294967298, which does not fit"):
        checks.check_numbers({"train": cut})


def test_losses_declare_the_fewest_outputs_while_they_are_traced() -> None:
    checks.index_below("label", 3)  # nobody collects
    with checks.declared() as fields:
        checks.index_below("label", 10)
        checks.index_below("label", 7)
        checks.index_below("label", 9)
        checks.index_below("targets", 5, weight="weight")
    checks.index_below("other", 3)
    assert fields == {"label": Indices(7), "targets": Indices(5, ("weight",))}


def test_weights_count_only_where_all_losses_have_them() -> None:
    with checks.declared() as fields:
        for field, weights in (("a", ("", "w")), ("b", ("w", "")), ("c", ("w", "v")), ("d", "ww")):
            for weight in weights:
                checks.index_below(field, 5, weight)
    assert [fields[field].weights for field in "abcd"] == [(), (), ("v", "w"), ("w",)]
    index, w, v = np.array([9, 9, 0]), np.array([1.0, 0.0, 0.0]), np.zeros(3)
    checks.check_indices({"train": source(c=index[1:], w=w[1:], v=v[1:])}, fields)
    for contents in ({"a": index[1:]}, {"c": index}, {"c": index[1:], "v": np.ones(2)}):
        weights = {"w": w, "v": v} if "c" in contents and len(contents) == 1 else {"w": w[1:]}
        with pytest.raises(UsageError, match="of example 0 is 9"):
            checks.check_indices({"train": source(**{**weights, **contents})}, fields)
