"""model.safetensors: every leaf comes back bit for bit, and what does not fit is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.train import model_file
from dlcore.train.model import Model
from dlcore.train.step import State

TEMPLATE = {"x": jax.ShapeDtypeStruct((4, 3), jnp.float32)}


class Net(nn.Module):
    width: int = 5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.Dense(self.width)(x)
        self.param("scale", nn.initializers.ones, ())
        return nn.BatchNorm(use_running_average=True)(x)


def model(width: int = 5) -> Model:
    return Model("net", Net(width), lambda batch, key, train: batch["x"])


@pytest.fixture(scope="module")
def state() -> State:
    variables: Any = model().init(jax.random.key(0), {"x": jnp.zeros((4, 3))})
    params, extra = {"net": variables.pop("params")}, {"net": variables}
    # as a transposed view, whose memory is not in the order of its elements
    params["net"]["Dense_0"]["kernel"] = np.asarray(params["net"]["Dense_0"]["kernel"]).T.copy().T
    return State(jnp.asarray(7, jnp.int32), params, extra, {"net": "not kept"})  # type: ignore[dict-item]


@pytest.mark.slow
def test_a_state_comes_back_bit_for_bit(tmp_path: Path, state: State) -> None:
    file = tmp_path / model_file.MODEL
    model_file.save(state, file, best="validation/loss")
    found, metadata = model_file.load(file, [model()], TEMPLATE)
    assert metadata == {"format": "1", "step": "7", "best": "validation/loss"}
    model_file.save(state, file, step="9", format="0")  # the header's own entries stay
    assert model_file.load(file, [model()], TEMPLATE)[1] == {"format": "1", "step": "7"}
    assert int(found.step) == 7
    assert found.opt == {}
    for before, after in ((state.params, found.params), (state.extra, found.extra)):
        assert jax.tree.structure(before) == jax.tree.structure(after)
        for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
            assert np.asarray(a).dtype == np.asarray(b).dtype
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    assert found.params["net"]["scale"].shape == ()


def test_another_library_reads_the_file_by_path(tmp_path: Path, state: State) -> None:
    from safetensors.numpy import load_file

    model_file.save(state, tmp_path / "m.safetensors")
    names = set(load_file(tmp_path / "m.safetensors"))
    assert {"params/net/Dense_0/kernel", "extra/net/batch_stats/BatchNorm_0/mean"} <= names


def test_a_model_of_another_size_is_refused_by_name(tmp_path: Path, state: State) -> None:
    model_file.save(state, tmp_path / "m.safetensors")
    with pytest.raises(UsageError, match=r"BatchNorm_0/mean is \(5,\) in the file and \(6,\)"):
        model_file.load(tmp_path / "m.safetensors", [model(6)], TEMPLATE)


def test_damaged_missing_and_later_files_are_refused(tmp_path: Path, state: State) -> None:
    file = tmp_path / "m.safetensors"
    with pytest.raises(UsageError, match="is no file"):
        model_file.load(file, [model()], TEMPLATE)
    model_file.save(state, file)
    whole = file.read_bytes()
    for content in (b"", whole[:50], whole[:-3], b"\xff" * 100, b"[" * 200):
        file.write_bytes(content)
        with pytest.raises(UsageError, match="cannot be read"):
            model_file.load(file, [model()], TEMPLATE)
    file.write_bytes(whole.replace(b'"format":"1"', b'"format":"2"'))
    with pytest.raises(UsageError, match="update dlcore"):
        model_file.load(file, [model()], TEMPLATE)
    file.write_bytes(whole.replace(b'"format":"1"', b'"former":"1"'))
    with pytest.raises(UsageError, match="no format and step"):
        model_file.load(file, [model()], TEMPLATE)


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "m.safetensors"
    file.write_bytes(b"old")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        model_file.save(state, file)
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]
    assert file.read_bytes() == b"old"
