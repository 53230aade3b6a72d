"""The card: a fingerprint of parameters that knows no layout, and a file that is never half."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from dlcore import sharding
from dlcore.data.own.found import VERSION
from dlcore.data.source import arrays
from dlcore.errors import UsageError
from dlcore.runs import card, circumstances
from dlcore.runs.new_card import describe
from dlcore.runs.parameter_hash import counts, sha256
from dlcore.train import Published

pytestmark = pytest.mark.quick
TREE = {
    "net": {"w": np.arange(16, dtype=np.float32).reshape(4, 4), "b": np.zeros(3, np.int8)},
    "other": np.array([True]),
}


@given(st.sampled_from([("net", "w"), ("net", "b"), ("other",)]), st.data())
def test_sha256_changes_with_any_bit(path: tuple[str, ...], data: st.DataObject) -> None:
    changed: Any = jax.tree.map(np.copy, TREE)
    leaf = changed
    for part in path:
        leaf = leaf[part]
    raw = leaf.reshape(-1).view(np.uint8)
    bit = data.draw(st.integers(0, 8 * len(raw) - 1)) if leaf.dtype != bool else 0
    raw[bit // 8] ^= 1 << bit % 8
    assert sha256(changed) != sha256(TREE)


def test_sha256_changes_with_name_shape_and_dtype() -> None:
    w = TREE["net"]["w"]
    others = (
        {"v": w},
        {"w": w.reshape(2, 8)},
        {"w": w.view(np.int32)},
        {"w": w.astype(np.float64)},
        {"x": {"w": w}},
    )
    assert len({sha256(tree) for tree in ({"w": w}, *others)}) == 6


def test_sha256_does_not_see_order_or_layout(devices: list[jax.Device]) -> None:
    mesh = sharding.layout("jit", "data=2,fsdp=4", devices).mesh
    w = TREE["net"]["w"]
    for spec in (P(), P("fsdp"), P(None, "fsdp"), P(("data",), "fsdp")):
        laid = jax.device_put(w, NamedSharding(mesh, spec))
        jax.block_until_ready(laid)
        assert sha256({"w": laid}) == sha256({"w": w})
    assert sha256({"w": np.asfortranarray(w)}) == sha256({"w": w})
    assert sha256(dict(reversed(TREE.items()))) == sha256(TREE)


def test_parameters_are_counted_by_part() -> None:
    assert counts({"a": {"w": jnp.zeros((3, 4)), "b": jnp.zeros(())}, "b": {}}) == {"a": 13, "b": 0}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    said = {
        "format": 2,
        "experiment": "mlp",
        "results": {"test": {"accuracy": 0.5}},
        "path": tmp_path,
    }
    card.write(tmp_path, said)
    assert card.read(tmp_path) == {**said, "path": str(tmp_path)}
    assert [p.name for p in tmp_path.iterdir()] == ["card.json"]


def test_a_write_that_fails_half_way_leaves_the_old_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card.write(tmp_path, {"format": 2, "experiment": "old"})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        UsageError, match=r"cannot write .*card\.json: No space left on device; free disk space"
    ):
        card.write(tmp_path, {"experiment": "new", "more": list(range(99))})
    assert card.read(tmp_path) == {"format": 2, "experiment": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not a run: it has no card.json; name the folder that dlcore train printed"),
        ('{"experiment": "a"', "is damaged"),
        (b"\xff\xfe\x00", "is damaged"),
        ("", "is damaged"),
        ("[1, 2]", "names no experiment"),
        ('{"experiment": 3}', "names no experiment"),
        ("{}", "names no experiment"),
    ],
)
def test_what_is_no_card_is_refused_with_a_way_out(
    tmp_path: Path, content: str | bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "card.json").write_bytes(
            content.encode() if isinstance(content, str) else content
        )
    with pytest.raises(UsageError, match=message) as error:
        card.read(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no run folder .*nowhere"):
        card.read(tmp_path / "nowhere")


def test_git_tells_commit_and_cleanness(tmp_path: Path) -> None:
    assert circumstances.git(tmp_path) == {"commit": None, "clean": None}
    plain = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "PATH": os.environ["PATH"],
    }
    for words in (
        ["init", "-q"],
        ["-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "--allow-empty", "-m", "m"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, env=plain)
    found = circumstances.git(tmp_path)
    assert len(found["commit"]) == 40
    assert found["clean"] is True
    (tmp_path / "new.py").write_text("")
    assert circumstances.git(tmp_path) == {**found, "clean": False}


def test_machine_and_versions_can_be_written_as_json() -> None:
    record = json.loads(
        json.dumps({**circumstances.machine(), "versions": circumstances.versions()})
    )
    assert record["devices"] == {"platform": "cpu", "kind": "cpu", "count": 8, "processes": 1}
    assert record["versions"]["jax"] == jax.__version__
    assert circumstances.peak_memory() > 10 * 2**20


def test_nothing_is_published_of_data_of_one_s_own() -> None:
    fields = {"x": np.zeros((2, 1), np.float32)}
    published = Published("accuracy", 0.9, "a paper")
    for version, expected in (("1.0.0", 0.9), (VERSION, None)):
        train = arrays("set", version, "train", fields)
        made: Any = SimpleNamespace(
            train=train, evaluated={}, known_metrics={}, published=published
        )
        found = describe(made)["published"]
        assert (found["value"] if found else None) == expected
