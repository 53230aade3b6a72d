"""Equal to the installed `transformers` library, whose networks get weights that are drawn anew.

It needs the extra `compare`; test_transformers.py compares with arrays that were stored once.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable

import numpy as np
import pytest

from tests.models import test_transformers as stored
from tests.models import transformers_arrays as made

MISSING = [name for name in ("torch", "transformers") if not importlib.util.find_spec(name)]
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(
        bool(MISSING), reason=f"{MISSING} not installed: pip install 'dlcore[compare]'"
    ),
]
CASES: dict[str, Callable[[], None]] = {
    **{
        f"positions-{name}": functools.partial(
            stored.test_logits_of_llama_with_each_kind_of_positions, name
        )
        for name in stored.ROPES
    },
    "window": stored.test_logits_with_a_sliding_window,
    "padding": stored.test_logits_and_greedy_texts_of_padded_prompts,
    "penalty": stored.test_greedy_texts_with_a_repetition_penalty,
    "least": stored.test_greedy_texts_do_not_end_before_the_least_tokens,
    "logits": stored.test_soft_caps_of_gemmas_logits,
    "heads": stored.test_soft_caps_of_gemma_and_partial_positions_of_neox,
    "bert": stored.test_bert_with_segments_and_padding,
    "sampling": stored.test_rules_of_sampling,
}

drawn = functools.cache(made.arrays)


def test_the_stored_arrays_are_those_of_the_library() -> None:
    found, expected = drawn(0), stored.arrays()
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-3, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_other_weights(case: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = "llama/model.embed_tokens.weight"
    assert (drawn(seed)[weights] != stored.arrays()[weights]).any()
    monkeypatch.setattr(stored, "arrays", lambda: drawn(seed))
    CASES[case]()


def test_every_comparison_is_among_the_cases() -> None:
    tests = [test for name, test in vars(stored).items() if name.startswith("test_")]
    used = [getattr(case, "func", case) for case in CASES.values()]
    assert not [test.__name__ for test in tests if test not in used]
