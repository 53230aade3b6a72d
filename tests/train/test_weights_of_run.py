"""Weights and tokenizer of a finished run's folder."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.data import tokenizer
from dlcore.data.characters import characters
from dlcore.data.facts import Facts
from dlcore.errors import UsageError
from dlcore.train import model_file, weights
from dlcore.train.step import State
from dlcore.train.weights import Weights

pytestmark = pytest.mark.quick


def test_the_folder_of_a_run_is_a_source_of_parameters(tmp_path: Path) -> None:
    kept = {"net": {"dense": {"kernel": jnp.arange(6.0).reshape(2, 3)}}}
    model_file.save(State(jnp.asarray(3), kept, {}, {}), tmp_path / model_file.MODEL)
    params = {"dense": {"kernel": jnp.zeros((2, 3))}}
    found = weights.with_loaded("net", params, {"net": Weights(tmp_path, "net")})
    np.testing.assert_array_equal(found["dense"]["kernel"], kept["net"]["dense"]["kernel"])
    part = weights.with_loaded("net", params, {"net/dense": Weights(tmp_path, "net/dense")})
    np.testing.assert_array_equal(part["dense"]["kernel"], kept["net"]["dense"]["kernel"])


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    for content in (None, b"damaged"):
        if content is not None:
            (tmp_path / model_file.MODEL).write_bytes(content)
        with pytest.raises(UsageError, match="no finished run"):
            weights.load(tmp_path)


def test_what_is_pretrained_is_an_entry_for_each_model_and_nothing_without_a_path() -> None:
    expected = Weights(Path("runs/a"), "net")
    assert weights.of("runs/a", {"net": "net", "b": "net"}) == {"net": expected, "b": expected}
    assert weights.of("", {"net": "net"}) == {}


def test_the_tokenizer_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name the folder of a run"):
        tokenizer.of_run(tmp_path)
    used = characters("hello")
    facts = Facts(tokenizer=tokenizer.to_facts(used))
    (tmp_path / "facts.json").write_text(facts.to_json(), encoding="utf-8")
    assert tokenizer.of_run(tmp_path) == used
