"""What a user can get wrong: exit code 2, one message that names the cause and the way out, and
nothing lost or left behind.
"""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from tests.cli.conftest import MLP, Refused

TRAIN = ["train", "mlp_digits", *MLP]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


@pytest.mark.quick
def test_unknown_experiment(refused: Refused) -> None:
    refused("train", "mlp_digit", mentions=("'mlp_digit'", "did you mean mlp_digits?"))
    refused("train", "zzzzqqq", mentions=("'zzzzqqq'", "dlcore list"))
    refused("train", "nowhere/mine.py", mentions=("nowhere/mine.py",))


@pytest.mark.quick
def test_the_name_of_a_file_without_its_ending(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "mlp_digitz.py").write_text("")
    said = refused("train", "mlp_digitz", mentions=("a file mlp_digitz.py", "with its ending"))
    assert "mean" not in said


@pytest.mark.quick
def test_a_file_that_is_no_experiment(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "notes.py").write_text('"""Notes."""\nx = 1\n')
    refused("train", "notes.py", mentions=("notes.py", "build(config, splits)", "Config"))
    fields = "batch: int = 1\n    steps: int = 1\n    width: int"
    text = (
        "from dataclasses import dataclass\n\n\n@dataclass(kw_only=True)\nclass Config:\n   "
        f" {fields}\n\n\ndef data(c, source): pass\n\n\ndef build(c, splits): pass\n"
    )
    (tmp_path / "bare.py").write_text(text)
    refused("train", "bare.py", mentions=("bare.py", "a default for width"))
    (tmp_path / "broken.py").write_text("def build(:\n")
    refused("train", "broken.py", mentions=("broken.py", "line 1"))
    (tmp_path / "fails.py").write_text('"""Fails."""\nimport no_such_package\n')
    refused("train", "fails.py", mentions=("fails.py", "no_such_package"))


@pytest.mark.parametrize(
    ("flags", "mentions"),
    [
        (["--learning-rate", "1"], ("--learning-rate",)),
        (["--step", "10"], ("--step", "--steps")),
        (["--steps", "many"], ("--steps", "many", "int")),
        (["--lr", "fast"], ("--lr", "fast", "float")),
        (["--parallel", "magic"], ("--parallel", "magic", "shard_map")),
        (["--batch"], ("--batch",)),
        (["--batch", "1e20"], ("--batch", "1e20", "int")),
    ],
    ids=lambda x: "_".join(x),
)
def test_flags(flags: list[str], mentions: tuple[str, ...], refused: Refused) -> None:
    refused("train", "mlp_digits", *flags, mentions=mentions)


@pytest.mark.parametrize("name", ["cnn_fashion_mnist", "gpt_tiny_shakespeare"])
def test_data_that_are_not_prepared(
    name: str, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    refused(
        "train",
        name,
        mentions=("is not prepared", f"dlcore prepare {name.partition('_')[2]}", "--offline"),
    )


@pytest.mark.parametrize(
    ("flags", "mentions"),
    [
        (["--mesh", "data=3"], ("data=3", "there are 8")),
        (["--mesh", "data=4,model=2"], ("model=2", "data=4,fsdp=2,tensor=1")),
        (["--mesh", "data"], ("'data'",)),
        (["--mesh", "data=0"], ("data=0",)),
        (["--mesh", "data=2,fsdp=4", "--parallel", "pmap"], ("--parallel pmap", "--parallel jit")),
        (["--batch", "36"], ("--batch 36", "8 devices", "--batch 32")),
        (["--batch", "32", "--microbatches", "3"], ("3 microbatches", "--batch 24")),
        (["--batch", "0"], ("--batch 0", "at least 1")),
        (["--microbatches", "0"], ("--microbatches 0", "at least 1")),
        (["--steps", "0"], ("--steps 0",)),
        (["--steps", "-3"], ("--steps -3",)),
        (["--log-every", "0"], ("--log-every 0",)),
        (["--keep", "0"], ("--keep 0",)),
        (["--eval-every", "-1"], ("--eval-every -1",)),
        (["--threads", "0"], ("--threads 0",)),
        (["--workers", "257"], ("--workers 257", "at most 256")),
        (["--workers", "2"], ("--workers 2", "are in memory", "omit it")),
        (["--threads", f"{10**20}"], (f"--threads {10**20}", "at most 1024")),
        (["--cpu-devices", f"{10**20}"], (f"--cpu-devices {10**20}", "at most 64")),
        (["--batch", f"{10**20}"], (f"--batch {10**20}", "at most 2147483647")),
        (["--steps", f"{2**31}"], (f"--steps {2**31}", "at most 2147483647")),
        (["--heartbeat", "0"], ("--heartbeat 0", "at least 1")),
        (["--seed", "-1"], ("--seed -1", "at least 0")),
        (["--seed", f"{2**32}"], (f"--seed {2**32}", f"at most {2**32 - 1}")),
        (["--dropout", "1"], ("--dropout 1.0", "at least 0 and below 1")),
        (["--widths", "16", "0"], ("--widths 0", "at least 1")),
        (["--lr", "-1"], ("--lr -1.0", "at least 0")),
        (["--lr", "nan"], ("--lr nan", "a finite number")),
        (["--lr", "1e39"], ("--lr 1e+39", "at most 3.4")),
        (["--out", "~"], ("--out ~", "$HOME")),
        (["--out", "~/runs/a"], ("--out ~/runs/a", "$HOME")),
    ],
    ids=lambda x: "_".join(x),
)
def test_numbers_that_do_not_fit(
    flags: list[str], mentions: tuple[str, ...], refused: Refused
) -> None:
    refused(*TRAIN, *flags, mentions=mentions)


@pytest.mark.parametrize("command", ["resume", "eval", "sample", "report", "export"])
def test_a_run_that_is_missing_or_none(command: str, refused: Refused, tmp_path: Path) -> None:
    more = ["last.npz"] if command == "export" else []
    refused(command, "runs/9", *more, mentions=("runs/9",))
    (tmp_path / "empty").mkdir()
    refused(command, "empty", *more, mentions=("empty", "card.json"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        '{"experiment": "mlp_di',
        "\x00\x80junk",
        "[1, 2]",
        "{}",
        "",
        '{"experiment": "mlp_digits", "config": 3}',
        '{"experiment": "mlp_digits", "config": {"lr": "fast"}, "run": {}}',
        '{"experiment": "gone", "config": {}, "run": {}}',
    ],
)
@pytest.mark.parametrize("command", ["resume", "eval"])
def test_a_damaged_card(command: str, text: str, stopped: Path, refused: Refused) -> None:
    (stopped / "card.json").write_bytes(text.encode("latin-1"))
    refused(command, stopped, mentions=("gone" if "gone" in text else str(stopped),))


def test_words_that_are_too_many_or_missing(stopped: Path, refused: Refused) -> None:
    refused(
        "verify", "MISSING.json", mentions=("there is no card MISSING.json", "experiments/results")
    )
    refused("verify", "missing/run", mentions=("there is no card missing/run",))
    refused("resume", mentions=("name a run",))
    refused("eval", stopped, "more", mentions=("too many arguments",))
    refused("export", stopped, mentions=("FILE.npz",))
    refused("export", stopped, "last.txt", mentions=("FILE.npz",))
    refused("export", stopped, "--half", "--trust", mentions=("FILE.npz",))
    refused(
        "export",
        stopped,
        "no/such/folder/last.npz",
        mentions=("no/such/folder/last.npz", "name another file"),
    )
