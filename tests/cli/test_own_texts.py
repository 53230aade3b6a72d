"""A classifier of texts trained on a CSV of one's own: answers from the command line, a text file,
standard input, JSON lines and the CSV itself.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import jax
import pytest

from dlcore.cli import main as cli
from tests.child import card
from tests.data.own import made

Capture = pytest.CaptureFixture[str]
TEXTS = ["a good film, number 3", "a poor film 🎬 — très « poor »"]


@pytest.fixture(autouse=True)
def _devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 50 steps on a table of texts with Windows line ends."""
    folder = tmp_path_factory.mktemp("own")
    file = made.texts(folder / "films.csv", 120)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    words = ["--preset", "tiny", "--data", str(file), "--steps", "50", "--lr", "1e-2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLCORE_CACHE", str(folder / "cache"))
        patch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
        out = ["--out", str(folder / "run"), "--cpu-devices", "1"]
        assert cli.main(["train", "cnn_sst2", *words, *out]) == 0
    return folder / "run"


def answers(capsys: Capture, *words: str) -> list[tuple[str, str, float]]:
    """Text, class and probability of each answer."""
    capsys.readouterr()
    assert cli.main(["predict", *words, "--json"]) == 0
    found: list[dict[str, Any]] = [json.loads(x) for x in capsys.readouterr().out.splitlines()]
    return [(each["text"], each["class"], each["probability"]) for each in found]


@pytest.mark.nightly
def test_all_ways_to_give_texts_have_the_same_answers(
    run: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answers(capsys, str(run), "--text", *TEXTS)
    assert [(text, name) for text, name, _ in expected] == list(zip(TEXTS, "+-", strict=True))

    file = tmp_path / "new.txt"
    file.write_text("\r\n".join([TEXTS[0], "", TEXTS[1]]), encoding="utf-8", newline="")
    assert answers(capsys, str(run), str(file)) == expected

    file = tmp_path / "new.jsonl"
    lines = [json.dumps({"number": i, "text": text}) for i, text in enumerate(TEXTS)]
    file.write_text("\n".join(lines), encoding="utf-8")
    assert answers(capsys, str(run), str(file)) == expected

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(TEXTS).encode())))
    assert answers(capsys, str(run), "-") == expected


@pytest.mark.slow
def test_its_table_is_answered_as_it_was_labelled(run: Path, capsys: Capture) -> None:
    found = answers(capsys, str(run), str(run.parent / "films.csv"))
    assert len(found) == 120
    assert all(name == ("-" if "poor" in text else "+") for text, name, _ in found)
    results = card(run)["results"]["test"]
    assert results["accuracy"] == results["bag_of_words_accuracy"] == 1
    assert results["majority_accuracy"] < 1


@pytest.mark.quick
@pytest.mark.parametrize("experiment", ["cnn_sst2", "intents_banking77"])
def test_a_broken_table_is_refused_with_its_line(
    experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    file = made.texts(Path("films.csv"))
    file.write_text(file.read_text() + "no label,\n")
    words = ["--preset", "tiny", "--data", "films.csv", "--cpu-devices", "1", "--out", "run"]
    assert cli.main(["train", experiment, *words]) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "films.csv, line 82: 'label' is empty" in message
    assert not Path("run").exists()
