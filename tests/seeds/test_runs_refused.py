"""What does not go with several seeds in one program."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.cli import main as cli


@pytest.mark.quick
@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--parallel", "pmap"], "--parallel cannot be used with --seeds 4"),
        (["--mesh", "data=2"], "--mesh cannot be used with"),
        (["--cpu-devices", "2"], "--cpu-devices cannot be used with"),
        (["--patience", "2"], "--patience cannot be used with"),
        (["--seed", str(2**32 - 2)], "choose a smaller --seed"),
        (["--seeds", "0"], "--seeds 0 is too small"),
    ],
)
def test_what_does_not_go_side_by_side_is_refused(
    flags: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        cli.main(["train", "mlp_digits", "--seeds", "4", "--out", str(tmp_path / "runs"), *flags])
        == 2
    )
    assert why in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
