"""The table of experiments says what the kept cards say."""

import json
from pathlib import Path

import pytest

from dlcore.report import table

CARD = {
    "experiment": "mlp_digits",
    "file": "/somewhere/else/mlp_digits.py",
    "run": {"out": "/somewhere/else"},
    "results": {"validation": {"loss": 1.5}, "test": {"accuracy": 0.98765}},
    "published": {"split": "validation", "metric": "loss", "value": 1.88},
    "seconds": {"compile": 1.0, "train": 10.0, "eval": 2.0, "total": 20.0},
    "host": {"cpu": "A processor", "cores": 2},
    "parameters": {"net": 1000, "other": 234},
    "data": {"train": {"name": "digits", "version": "1.0"}},
}


def test_the_number_beside_the_published_one_is_of_the_same_metric() -> None:
    assert table.ours(CARD) == "validation/loss 1.5 (13 s on 2 cores)"
    assert table.ours({**CARD, "published": None}) == "test/accuracy 0.9877 (13 s on 2 cores)"
    assert table.ours({}) == "not run"


def test_a_kept_card_names_no_folder_of_a_machine_and_makes_the_only_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiments = tmp_path / "experiments"
    experiments.mkdir()
    for name in ("mlp_digits", "not_run"):
        (experiments / f"{name}.py").write_text('"""What.\n\nFamily: MLP\nPublished: 0.97\n"""\n')
    (tmp_path / "card.json").write_text(json.dumps(CARD))
    monkeypatch.chdir(tmp_path)
    assert "/somewhere/else" not in table.keep(tmp_path).read_text()
    _, _, *rows = table.readme().splitlines()
    assert len(rows) == 1
    assert "| 1,234 | 0.97 | validation/loss 1.5 |" in rows[0]
