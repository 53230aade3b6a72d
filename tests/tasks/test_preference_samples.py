"""A table of held-out answers, by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data import source, tokens
from dlcore.samples import Table
from dlcore.tasks import preference_samples
from dlcore.tasks.preference import LogRatios
from dlcore.train.step import State
from tests.tasks.test_preference import POLICY, REFERENCE


@pytest.mark.parametrize("pairs", [False, True], ids=["labelled", "pairs"])
def test_answers_are_compared_within_their_pair_or_by_the_median_whatever_their_sign(
    pairs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = tokens.bpe(["aa"], 257)
    context, answers = used.encode("go?"), (used.encode("no!"), used.encode("yes"))

    def rows(answer: np.ndarray) -> dict[str, np.ndarray]:
        ids = np.concatenate([context, answer])
        weight = (np.arange(5) >= 2).astype(np.float32)
        arrays = {"tokens": ids[:-1], "targets": ids[1:], "weight": weight}
        return {name: np.stack([each] * 4) for name, each in arrays.items()}

    arrays = rows(answers[1])
    if pairs:
        arrays |= {f"wrong_{name}": each for name, each in rows(answers[0]).items()}
        arrays["fold"] = np.array([0, 1, 1, 0], np.int32)
    else:
        arrays["desirable"] = np.array([1, 0, 1, 0], np.float32)
    given = ([2.0, 1.0], [0.5, 3.0], [0.0], [0.0])
    ratios = LogRatios(*map(jnp.asarray, given))
    monkeypatch.setattr(preference_samples, "log_ratios", lambda *_, other: ratios)
    state = State(jnp.zeros((), jnp.int32), {}, {}, {})
    held_out = source.arrays("answers", "1", "test", arrays)
    draw = preference_samples.samples(POLICY, REFERENCE, held_out, used, count=4 if pairs else 2)
    (table,) = draw(state, jax.random.key(0))
    assert isinstance(table, Table)
    expected = [
        ("go?", "yes", "right", 2.0, "right"),
        ("go?", "no!", "wrong", 0.5, "wrong"),
        ("go?", "yes", "right", 1.0, "wrong"),
        ("go?", "no!", "wrong", 3.0, "right"),
    ]
    labelled = [expected[0], ("go?", "yes", "wrong", 1.0, "wrong")]
    assert ("pair" if pairs else "median") in table.title
    assert list(table.rows) == (expected if pairs else labelled)
