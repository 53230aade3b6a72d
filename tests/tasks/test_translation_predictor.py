"""Translations of lines of text: those of the evaluation, in any batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.tasks.test_predictors import answered, untrained


@pytest.mark.nightly
def test_sentences_are_translated_as_in_evaluation() -> None:
    experiment, state = untrained("transformer_multi30k")
    predictor: Any = experiment.predictor
    test: Any = experiment.splits.test
    texts = test.source_texts[:3]
    expected = predictor.translator.translate(state.params, texts)
    found = answered("transformer_multi30k", *texts)
    assert [each["translation"] for each in found] == expected
    assert [each["source"] for each in found] == list(texts)
    (alone,) = answered("transformer_multi30k", texts[1])
    assert alone["score"] == pytest.approx(found[1]["score"], rel=1e-4)
    assert -np.inf < alone["score"] < 0
    (refused,) = answered("transformer_multi30k", "na " * 200)
    assert "translates at most" in refused
