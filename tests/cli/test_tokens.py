"""`dlcore prepare text`, then language models that train on what it wrote, resume and continue."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from dlcore.cli import main as cli
from tests.child import card

LINES = "".join(f"Line {i} of a book with {i * i} words in it.\n" for i in range(300))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("experiment", "kind", "more"),
    [
        ("gpt_tiny_shakespeare", "characters", []),
        ("gpt_tiny_shakespeare", "bpe:290", []),
        ("gpt_speeches", "bpe:290", ["--vocabulary", "290"]),
    ],
)
def test_a_language_model_trains_on_tokens(
    experiment: str, kind: str, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        Path("books").mkdir(exist_ok=True)
        Path(f"books/{number}.txt").write_text(LINES, encoding="utf-8")
    assert cli.main(["prepare", "text", "books", "--tokenizer", kind, "--out", "tokens"]) == 0
    words = ["--preset", "tiny", "--data", "tokens", "--out", "run", "--cpu-devices", "1", *more]
    assert cli.main(["train", experiment, *words, "--steps", "6"]) == 0
    run = card(Path("run"))
    assert run["status"] == "done"
    assert {run["data"][split]["name"] for split in ("train", "validation")} == {"tokens"}
    assert "loss" in run["results"]["validation"]
    Path("tokens").rename("moved")  # predictions need no data
    capsys.readouterr()
    assert cli.main(["predict", "run", "--text", "Line 3", "--tokens", "9"]) == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.quick
def test_a_model_of_another_vocabulary_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("book.txt").write_text(LINES, encoding="utf-8")
    words = ["prepare", "text", "book.txt", "--tokenizer", "bpe:290", "--out", "tokens"]
    assert cli.main(words) == 0
    words = ["train", "gpt_speeches", "--data", "tokens", "--out", "run", "--cpu-devices", "1"]
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert "choose --vocabulary 290, or prepare the texts with --tokenizer bpe:2048" in said
    assert not Path("run").exists()
