"""`dlcore list`: every experiment under its task, found by a word, without JAX."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dlcore.cli import main
from dlcore.errors import UsageError
from dlcore.report import kept_cards, listing, table
from dlcore.runs import catalog

pytestmark = pytest.mark.quick


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_every_experiment_stands_under_its_task(capsys: pytest.CaptureFixture[str]) -> None:
    listing.show()
    found, task = {}, ""
    for line in lines(capsys)[1:]:
        if line.startswith("  "):
            found[line.split()[0]] = task
        else:
            task = line
    assert sorted(found) == catalog.names()
    assert found["cnn_mnist"] == "image classification"
    assert found["mlp_breast_cancer"] == "medical diagnosis"


def test_a_row_has_the_headline_of_the_kept_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["list", "cnn_mnist"]) == 0
    *_, row = lines(capsys)
    ours = table.values(kept_cards.result("cnn_mnist"))["test/accuracy"]
    assert row.split() == ["cnn_mnist", "CNN", "test/accuracy", *ours.split(), "0.9917"]
    assert main.main(["list", "gpt_large"]) == 0
    assert lines(capsys)[-1].endswith("not run")


def test_words_are_searched_in_all_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    listing.show(["Translation", "transformer"])
    _, task, row = lines(capsys)
    assert task == "machine translation"
    assert row.split()[0] == "transformer_multi30k"
    with pytest.raises(UsageError, match=f"'nonsense'.*shows all {len(catalog.names())}"):
        listing.show(["nonsense"])


def test_the_list_imports_no_jax() -> None:
    code = (
        "import sys; from dlcore.cli.main import main; main(['list']);"
        "sys.exit(bool({'jax', 'numpy', 'flax'} & set(sys.modules)))"
    )
    folder = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
