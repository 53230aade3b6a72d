"""Weights and tokenizer of a finished run's folder."""

from __future__ import annotations

from pathlib import Path

import jax
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


def test_fields_that_shapes_do_not_show_are_those_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text('{"config": {"heads": 4, "width": 8}}')
    same = {"heads": 4, "kv_heads": 2}  # the run has no flag of the second
    assert weights.of(str(tmp_path), {"net": "net"}, same)["net"] == Weights(tmp_path, "net")
    with pytest.raises(UsageError, match=r"trained with --heads 4, .* with 8: give --heads 4"):
        weights.of(str(tmp_path), {"net": "net"}, {"heads": 8})
    assert weights.of(str(tmp_path / "gone"), {"net": "net"}, {"heads": 8})
    with pytest.raises(UsageError, match="--kv-heads 2"):
        weights.check_same({"kv_heads": 2}, {"kv_heads": 1})


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    for content in (None, b"damaged"):
        if content is not None:
            (tmp_path / model_file.MODEL).write_bytes(content)
        with pytest.raises(UsageError, match="no finished run"):
            weights.load(tmp_path)


@pytest.mark.slow
def test_the_changes_of_a_tuned_model_are_added_and_an_older_file_without_them_is_refused(
    tmp_path: Path,
) -> None:
    w, a, b = jnp.ones((2, 3)), jnp.ones((2, 1)), jnp.arange(3.0).reshape(1, 3)
    pair = {"dense": {"a_kernel": a, "b_kernel": b}}
    kept = {"net": {"dense": {"kernel": w}}, "changes": {"all": pair}}
    state = State(jnp.asarray(3), kept, {}, {})
    model_file.save(state, tmp_path / model_file.MODEL, tuned='{"changes": ["net", 2.0]}')
    params = {"dense": {"kernel": jnp.zeros((2, 3))}}
    load = {"net": Weights(tmp_path, "net")}
    for found in (
        weights.with_loaded("net", params, load),
        jax.jit(lambda: weights.with_loaded("net", params, load))(),
    ):
        np.testing.assert_array_equal(found["dense"]["kernel"], [[1, 3, 5]] * 2)

    model_file.save(state, tmp_path / model_file.MODEL)
    weights.save(state, tmp_path / "older.npz")
    for path in (tmp_path, tmp_path / "older.npz"):
        with pytest.raises(UsageError, match=r"holds 'changes', .* dlcore export RUN FILE\.npz"):
            weights.load(path)
    alone = State(jnp.asarray(3), {"net": {"all": {"kernel": w}}, "other": {"bias": a}}, {}, {})
    weights.save(alone, tmp_path / "alone.npz")
    assert weights.load(tmp_path / "alone.npz")["params"].keys() == {"net", "other"}


def test_weights_that_are_gone_are_missed_where_they_are_read(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"there is no /.*gone, .* a run that has a checkpoint does not"
    ):
        weights.with_loaded("net", {}, {"net": Weights(tmp_path / "gone", "net")})


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
    facts = Facts(encoder={"tokenizer": tokenizer.to_facts(used)})  # of questions
    (tmp_path / "facts.json").write_text(facts.to_json(), encoding="utf-8")
    assert tokenizer.of_run(tmp_path) == used


def test_a_run_that_is_opened_again_needs_no_tokenizer_but_its_own(tmp_path: Path) -> None:
    config = {"pretrained": "gone", "steps": 3}
    with tokenizer.kept(tmp_path, config), pytest.raises(UsageError, match=r"gone.facts\.json"):
        tokenizer.of_weights("gone")  # the run has kept none
    used = characters("hello")
    facts = Facts(tokenizer=tokenizer.to_facts(used))
    (tmp_path / "facts.json").write_text(facts.to_json(), encoding="utf-8")
    with tokenizer.kept(tmp_path, config):
        assert tokenizer.of_weights("gone") == used
        with pytest.raises(UsageError, match=r"other.facts\.json"):
            tokenizer.of_weights("other")  # as in `resume --pretrained other`
    with pytest.raises(UsageError, match=r"gone.facts\.json"):
        tokenizer.of_weights("gone")
    (tmp_path / "facts.json").write_text("damaged", encoding="utf-8")
    with tokenizer.kept(tmp_path, config), pytest.raises(UsageError, match="is damaged"):
        tokenizer.of_weights("gone")
