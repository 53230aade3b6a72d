"""`dlcore predict --json` for a page of every kind of answer: what a program reads."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import jax
import pytest

from dlcore.cli import main as cli

pytestmark = pytest.mark.nightly
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def answers(name: str, capsys: Capture, *words: str) -> list[dict[str, Any]]:
    """Trains an experiment for a few steps, and predicts with the run."""
    settings = ["--preset", "tiny", "--offline", "--steps", "6", "--cpu-devices", "1"]
    assert cli.main(["train", name, *settings, "--out", "run"]) == 0
    capsys.readouterr()
    assert cli.main(["predict", "run", *words, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def table(columns: list[str], count: int) -> str:
    """A file of rows of numbers."""
    with Path("rows.csv").open("w", encoding="utf-8", newline="") as file:
        rows = [[str(0.1 * (i + j)) for i in range(len(columns))] for j in range(count)]
        csv.writer(file).writerows([columns, *rows])
    return "rows.csv"


def test_a_sentence(capsys: Capture) -> None:
    (found,) = answers("transformer_multi30k", capsys, "--text", "ba do ki")
    assert found["source"] == "ba do ki"
    assert isinstance(found["translation"], str)
    assert found["score"] < 0


def test_a_prompt(capsys: Capture) -> None:
    words = ["--text", "The king", "--tokens", "12"]
    (found,) = answers("gpt_tiny_shakespeare", capsys, *words)
    assert "The king" in json.dumps(found)


@pytest.mark.parametrize("name", ["vae_mnist", "gan_mnist"])
def test_a_count(name: str, capsys: Capture) -> None:
    found = answers(name, capsys, "--count", "3", "--out", "made")
    assert [each["number"] for each in found] == [0, 1, 2]
    kept = [json.loads(line) for line in Path("made/predictions.jsonl").read_text().splitlines()]
    assert kept == found
    assert all((Path("made") / file).is_file() for each in found for file in each["files"])


@pytest.mark.parametrize("name", ["mlp_breast_cancer", "mlp_diabetes"])
def test_rows(name: str, capsys: Capture) -> None:
    settings = ["--preset", "tiny", "--offline", "--steps", "6", "--cpu-devices", "1"]
    assert cli.main(["train", name, *settings, "--out", "run"]) == 0
    columns = json.loads(Path("run/facts.json").read_text(encoding="utf-8"))["features"]
    capsys.readouterr()
    assert cli.main(["predict", "run", table(columns, 3), "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["item"] for each in found] == [1, 2, 3]
    for each in found:
        assert each["networks"] >= 2
        if name == "mlp_diabetes":
            assert isinstance(each["number"], float)
        else:
            assert each["classes"][each["class"]] == each["probability"] >= 0.5
            assert sum(each["classes"].values()) == pytest.approx(1, abs=1e-4)
