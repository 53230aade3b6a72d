"""The doctor finds wrong arithmetic."""

from pathlib import Path

import jax.numpy as jnp
import pytest

from dlcore.cli import doctor


def test_it_says_what_is_there_and_that_sums_are_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A prepared set may be a link to another disk."""
    for name in ("data/here/1.0.0", "data/there/plain/2.0.0", "disk/linked/3.0.0"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "dataset_info.json").touch()
    (tmp_path / "data/linked").symlink_to(tmp_path / "disk/linked")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    assert doctor.main() == 0
    output = capsys.readouterr().out
    assert "data: here/1.0.0, linked/3.0.0, there/plain/2.0.0" in output
    assert "jaxlib" in output
    assert "arithmetic           right" in output


def test_it_notices_a_backend_that_drops_a_term(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = jnp.matmul
    monkeypatch.setattr(jnp, "matmul", lambda a, x: right(a, x).at[0].set(0))
    assert doctor.main() == 1
    assert "WRONG" in capsys.readouterr().out
