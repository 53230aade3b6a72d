"""A Config with a dataclass inside: its fields are flags, and its runs can be resumed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import jax
import pytest

from dlcore.cli import main as cli
from dlcore.report import runs as report_runs
from dlcore.report.command import reproduce
from tests.child import REPOSITORY, card


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs land in the test's own folder, on the devices that are there already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


NESTED = """
@dataclass(frozen=True)
class Net:
    widths: tuple[PositiveInt, ...] = (256, 256)
    dropout: Rate = 0.3
    bias: bool = True


@dataclass(frozen=True)
class Config:
    net: Net = Net()
"""


@pytest.mark.nightly
def test_a_config_inside_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (REPOSITORY / "experiments" / "mlp_digits.py").read_text(encoding="utf-8")
    head, fields = text.split("@dataclass(frozen=True)\nclass Config:\n")
    fields = (
        fields.split("    recipe: ", 1)[1]
        .replace("c.widths", "c.net.widths")
        .replace("c.dropout", "c.net.dropout")
    )
    fields = fields.replace("Config(widths=(16,), ", "Config(")
    Path("mine.py").write_text(head + NESTED.lstrip() + "    recipe: " + fields)
    words = ["--widths", "8", "--no-bias", "--batch", "32", "--steps", "6"]
    assert cli.main(["train", "mine.py", *words, "--out", "run"]) == 0
    assert card(Path("run"))["config"]["net"] == {"widths": [8], "dropout": 0.3, "bias": False}
    capsys.readouterr()
    assert cli.main(["resume", "run"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert cli.main(["resume", "run", "--dropout", "0.2"]) == 2
    assert "\nconfig net.dropout: 0.3 then, 0.2 now\n" in capsys.readouterr().err
    assert cli.main(["eval", "run"]) == 0
    again = shlex.split(str(reproduce(report_runs.read(Path("run")))))
    assert cli.main([*again[1:], "--out", "again"]) == 0
    record = [card(Path(run)) for run in ("run", "again")]
    assert record[0]["params_sha256"] == record[1]["params_sha256"]
    bad = record[0] | {"config": record[0]["config"] | {"net": {"widths": "wide"}}}
    Path("run/card.json").write_text(json.dumps(bad))
    assert cli.main(["resume", "run"]) == 2
    assert "damaged: its config.net says widths = 'wide'" in capsys.readouterr().err
