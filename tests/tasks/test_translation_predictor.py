"""Translations of lines of text: those of the evaluation, in any batch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.export import answers
from dlcore.tasks import translation_predictor
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


@pytest.mark.quick
@pytest.mark.parametrize(("reverse", "read"), [(False, ["ein", "zwei"]), (True, ["one", "two"])])
def test_the_side_that_training_reads_is_translated(
    tmp_path: Path, reverse: bool, read: list[str]
) -> None:
    translator: Any = SimpleNamespace(beams=2)
    predictor = translation_predictor.predictor(translator, reverse)
    pairs = "ein\tone\n\nzwei\ttwo\n"
    contents = {
        "a.tsv": pairs,
        "b.tsv": f"source\ttarget\n{pairs}",
        "c.csv": "target,source\none,ein\ntwo,zwei\n",
    }
    for name, content in contents.items():
        file = tmp_path / name
        file.write_text(content)
        found: Any = list(answers.inputs_in(predictor, file))
        assert [each.text or each.value for each in found] == read
        assert [each.where["line"] for each in found][-1] == len(content.splitlines())
    file.with_suffix(".tsv").write_text(f"{pairs}drei\n")
    found = list(answers.inputs_in(predictor, file.with_suffix(".tsv")))
    assert "line 4: 1 columns: a pair is a source, a tab, a target" in found[-1].error
    file.with_suffix(".txt").write_text(pairs)
    assert next(answers.inputs_in(predictor, file.with_suffix(".txt"))).text == "ein\tone"  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="takes text, and no int"):
        predictor.item(3)
