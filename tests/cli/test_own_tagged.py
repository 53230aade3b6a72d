"""Own tagged sentences from the command line: trained, predicted, and faults before a step."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jax
import pytest

from dlcore.cli import main as cli
from tests.child import card

TEXT = "👩‍🚀 Zoë Lee met José\u0301 in São Paulo."


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def train(path: Path, *more: str, name: str = "ner_conll") -> int:
    words = ["--preset", "tiny", "--data", str(path), "--out", "run", "--cpu-devices", "1", *more]
    return cli.main(["train", name, *words])


def columns(*more: str) -> Path:
    """A file with Windows line ends."""
    names = ["Zoë", "Ann", "Bo", "José"]
    sentences = [
        f"{names[i % 4]} NNP B-PER\r\nLee NNP I-PER\r\nmet VBD O\r\n{i} CD O\r\n" for i in range(80)
    ]
    file = Path("news.conll")
    file.write_bytes("\r\n".join([*sentences, *more]).encode())
    return file


@pytest.mark.nightly
def test_it_trains_and_predicts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(columns(), "--steps", "50", "--lr", "0.02") == 0
    assert card(Path("run"))["results"]["test"]["f1"] > 0.9
    capsys.readouterr()
    Path("texts.txt").write_text(f"{TEXT}\n\nAnn Lee met 7\n", "utf-8")
    Path("texts.jsonl").write_text(json.dumps({"text": TEXT}) + "\n", "utf-8")
    assert cli.main(["predict", "run", "news.conll", "--json"]) == 0
    first, second, *_ = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["text"], first["line"], second["line"]) == ("Zoë Lee met 0", 1, 6)
    assert [span["text"] for span in first["spans"]] == ["Zoë Lee"]
    for words in (["--text", TEXT], ["texts.txt"], ["texts.jsonl"], ["-"]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{TEXT}\n".encode())))
        assert cli.main(["predict", "run", *words, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out.splitlines()[0])
        assert answer["text"] == TEXT
        assert "Zoë Lee" in [span["text"] for span in answer["spans"]]
        for span in answer["spans"]:
            assert TEXT[span["start"] : span["end"]] == span["text"]
            assert span["label"] == "PER"
            assert 0 <= span["score"] <= 1


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["slots_atis", "pos_ewt", "ner_wnut17"])
def test_columns_without_intents_train_requests_parts_of_speech_and_rare_names(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(columns(), "--steps", "2", name=name) == 0
    found = card(Path("run"))
    scored = "accuracy" if name == "pos_ewt" else "f1"
    assert found["best"]["metric"] == f"validation/{scored}"
    capsys.readouterr()
    assert cli.main(["predict", "run", "news.conll", "--json"]) == 0
    texts = [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()]
    assert (len(texts), texts[1]) == (80, "Ann Lee met 1")
    Path("texts.jsonl").write_text(json.dumps({"text": TEXT}) + "\n", "utf-8")
    for words in (["texts.jsonl"], ["-"]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{TEXT}\n".encode())))
        assert cli.main(["predict", "run", *words, "--json"]) == 0
        (answer,) = map(json.loads, capsys.readouterr().out.splitlines())
        assert answer["text"] == TEXT
        for part in answer.get("spans", answer.get("words")):
            assert TEXT[part["start"] : part["end"]] == part.get("text", part.get("word"))


@pytest.mark.nightly
def test_json_lines_with_spans_and_labels_train_slots_and_intents(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = []
    for i in range(80):
        intent, city = ("call", "fly")[i // 4 % 2], ("Oslo", "Rome", "Lima", "Köln")[i % 4]
        text = f"{intent} 👩‍🚀 {city}{'.' if i % 3 else ' now'} {i}"
        start = text.index(city)
        span = {"start": start, "end": start + 4, "label": "city"}
        rows.append(json.dumps({"text": text, "spans": [span], "label": intent}))
    file = Path("requests.jsonl")
    file.write_text("\n".join(rows), "utf-8")
    assert train(file, "--steps", "50", "--lr", "0.02", name="slots_atis") == 0
    found = card(Path("run"))
    assert found["best"]["metric"] == "validation/sentence_accuracy"
    assert found["results"]["test"]["intent_accuracy"] > 0.9
    assert found["results"]["test"]["f1"] > 0.9
    capsys.readouterr()
    text = "fly 👩‍🚀 Köln. 7"
    assert cli.main(["predict", "run", "--text", text, "--json"]) == 0
    (answer,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert answer["intent"] == "fly"
    (span,) = answer["spans"]
    assert (span["label"], text[span["start"] : span["end"]]) == ("city", "Köln")


@pytest.mark.slow
def test_a_line_of_other_columns_stops_before_the_first_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = columns("Oslo", "")
    assert train(file) == 2
    err = capsys.readouterr().err
    assert f"{file}, line 401: 1 columns, and not 3 as in line 1" in err
    assert not Path("run").exists()
