"""The doctor finds wrong arithmetic."""

import jax.numpy as jnp
import pytest

from dlcore.cli import doctor


def test_it_says_what_is_there_and_that_sums_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main() == 0
    output = capsys.readouterr().out
    assert "jaxlib" in output
    assert "arithmetic           right" in output


def test_it_notices_a_backend_that_drops_a_term(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = jnp.matmul
    monkeypatch.setattr(jnp, "matmul", lambda a, x: right(a, x).at[0].set(0))
    assert doctor.main() == 1
    assert "WRONG" in capsys.readouterr().out
