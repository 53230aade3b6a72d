"""The table of experiments says what the kept cards say."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dlcore.errors import UsageError
from dlcore.report import kept_cards, table
from dlcore.runs import trust

CARD: dict[str, Any] = {
    "format": 2,
    "experiment": "mlp_digits",
    "status": "done",
    "file": "/somewhere/else/mlp_digits.py",
    "run": {"out": "/somewhere/else", "seed": 0},
    "config": {"lr": 0.1, "large": True},
    "results": {"validation": {"loss": 1.5}, "test": {"accuracy": 0.98765}},
    "published": {"split": "validation", "metric": "loss", "value": 1.88, "source": "a book"},
    "seconds": {"compile": 1.0, "train": 10.0, "eval": 2.0, "total": 20.0},
    "host": {"cpu": "A processor", "cores": 2},
    "parameters": {"net": 1000, "other": 234},
    "data": {"train": {"name": "digits", "version": "1.0"}},
    "metrics": {},
}


def test_the_headline_is_the_published_metric_or_the_declared_one_or_the_first_of_test() -> None:
    assert table.headline(CARD, {"headline": "test/accuracy"}) == "validation/loss"
    own = {**CARD, "published": None}
    assert table.headline(own, {"headline": "validation/loss"}) == "validation/loss"
    assert table.headline(own, {}) == "test/accuracy"
    assert (
        table.headline({**own, "results": {"validation": {"loss": 1.5}}}, {}) == "validation/loss"
    )
    assert table.values(CARD) == {"validation/loss": "1.5", "test/accuracy": "0.9877"}


def test_the_best_baseline_of_a_metric_stands_beside_it() -> None:
    declared = {
        "mse": {"better": "lower", "unit": ""},
        "zero_mse": {"better": None, "unit": "", "baseline_of": "mse"},
        "mean_mse": {"better": "lower", "unit": "", "baseline_of": "mse"},
        "zero_mae": {"better": "lower", "unit": "", "baseline_of": "mae"},
    }
    tested = {"mse": 0.1, "zero_mse": 0.3, "mean_mse": 0.2, "zero_mae": 0.01}
    card = {**CARD, "metrics": declared, "results": {"test": tested, "validation": {"mse": 1.0}}}
    assert table.baseline(card, "test/mse") == "0.2 (mean_mse)"
    assert table.baseline(card, "validation/mse") == ""
    higher = {**declared, "mse": {"better": "higher", "unit": ""}}
    assert table.baseline({**card, "metrics": higher}, "test/mse") == "0.3 (zero_mse)"
    assert table.baseline(CARD, "test/accuracy") == ""


def test_several_runs_are_a_mean_with_its_spread() -> None:
    # mean 2.5, sample deviation 1.803
    repeats = [{"results": {"validation": {"loss": value}}} for value in (1.0, 2.0, 4.5)]
    card = {**CARD, "repeats": repeats}
    assert table.values(card) == {"validation/loss": "2.5 ± 2"}
    assert table.repeated(card)[1] == "3 runs"


def test_seeds_over_folds_are_the_spread_of_the_seeds_means() -> None:
    # means over folds 2 and 3.5: sample deviation 1.06
    values = {(0, 0): 1.0, (0, 1): 3.0, (1, 0): 2.0, (1, 1): 5.0}
    repeats = [
        {"seed": s, "fold": f, "results": {"validation": {"loss": value}}}
        for (s, f), value in values.items()
    ]
    card = {**CARD, "repeats": repeats}
    assert table.values(card) == {"validation/loss": "2.75 ± 1"}
    assert table.repeated(card)[1] == "2 seeds of 2 folds"


PAGE = '''"""What.

Family: MLP
Task: image classification, other
Published: 0.97
"""
from dataclasses import dataclass

@dataclass(frozen=True)
class Config:
    batch: int = 1
    steps: int = 1
    lr: float = 0.1
    large: bool = True
    fold: int = 0

def data(c, source): ...

def build(c, splits): ...
'''


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "experiments").mkdir()
    for name in ("mlp_digits", "not_run"):
        (tmp_path / "experiments" / f"{name}.py").write_text(PAGE)
        trust.remember(tmp_path / "experiments" / f"{name}.py", PAGE)
        # A page that is loaded takes the name of the project's own in sys.modules: not beyond the
        # test.
        monkeypatch.setitem(
            sys.modules, f"experiments.{name}", sys.modules.get(f"experiments.{name}")
        )  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(house: Path, name: str, **changes: Any) -> Path:
    (house / name).mkdir()
    (house / name / "card.json").write_text(json.dumps({**CARD, **changes}))
    return house / name


def test_a_kept_card_names_no_folder_of_a_machine_and_makes_the_only_row(house: Path) -> None:
    (kept,) = kept_cards.keep([run(house, "a")])
    assert kept == Path("experiments/results/mlp_digits.json")
    assert "/somewhere/else" not in kept.read_text()
    _, _, *rows = table.rows().splitlines()
    assert len(rows) == 1
    assert rows[0].startswith(
        "| [`mlp_digits`](mlp_digits.py) | digits 1.0 | validation/loss | 1.88 |  | 1.5 | <details>"
    )
    assert "1,234 parameters<br>test/accuracy 0.9877<br>published: 1.88 (a book)" in rows[0]


def test_what_is_not_certain_of_a_published_number_stands_beside_it(house: Path) -> None:
    doubtful = {**CARD["published"], "caveat": "second-hand"}
    kept_cards.keep([run(house, "a", published=doubtful)])
    assert "| validation/loss | 1.88 (second-hand) |  | 1.5 |" in table.rows()


def test_seeds_and_folds_share_a_card_and_variants_have_their_own(house: Path) -> None:
    def result(loss: float, seed: int, **config: Any) -> dict[str, Any]:
        return {
            "run": {"out": "", "seed": seed},
            "config": config,
            "results": {"validation": {"loss": loss}},
        }

    runs = [
        run(house, f"s{seed}", **result(1.0 + seed, seed, lr=0.1, large=True)) for seed in (2, 0, 1)
    ]
    runs += [
        run(house, f"f{fold}", **result(3.0 + fold, 0, lr=0.1, large=False, fold=fold))
        for fold in (1, 0)
    ]
    usual, other = kept_cards.keep(runs)
    assert (usual.name, other.name) == ("mlp_digits.json", "mlp_digits-no-large.json")
    seeds, folds = (json.loads(path.read_text()) for path in (usual, other))
    assert [each["seed"] for each in seeds["repeats"]] == [0, 1, 2]
    assert seeds["results"] == {"validation": {"loss": 1.0}}
    assert [each["fold"] for each in folds["repeats"]] == [0, 1]
    _, _, first, second = table.rows().splitlines()
    assert "| 2 ± 1 (3 runs) |" in first
    assert "`--no-large`" in second
    assert "| 3.5 ± 0.7 (2 folds) |" in second


def test_every_split_of_a_test_is_shown_and_those_of_the_choice_are_not(house: Path) -> None:
    splits = ("train", "validation", "validation_with_more", "test", "test_with_more", "glue_dev")
    results = {split: {"loss": 1.0 + i} for i, split in enumerate(splits)}
    kept_cards.keep([run(house, "a", results=results)])
    _, *shown = table.rows().splitlines()[-1].split("<br>")
    assert [line.split("</")[0] for line in shown if "/loss" in line] == [
        "test/loss 4",
        "test_with_more/loss 5",
        "glue_dev/loss 6",
    ]


@pytest.mark.parametrize("name", ["s1/experiment.py", "../s1/experiment", "unknown"])
def test_a_stranger_s_card_does_not_choose_the_file_that_is_executed(
    house: Path, name: str
) -> None:
    (house / "s1").mkdir()
    evil = PAGE + f"\nimport pathlib\npathlib.Path({str(house / 'executed')!r}).touch()\n"
    (house / "s1" / "experiment.py").write_text(evil)
    (house / "experiments" / "unknown.py").write_text(evil)
    with pytest.raises(UsageError, match=r"is not executed|no longer exists"):
        kept_cards.keep([run(house, "a", experiment=name)])
    assert not (house / "executed").exists()


def test_a_run_that_is_not_done_is_not_kept(house: Path) -> None:
    with pytest.raises(UsageError, match=r"half is stopped, not done: dlcore resume"):
        kept_cards.keep([run(house, "half", status="stopped")])


def test_runs_that_are_no_repeats_of_each_other_are_not_averaged(house: Path) -> None:
    one = {"out": "", "seed": 0}
    twice = [run(house, name, run=one) for name in "ab"]
    with pytest.raises(UsageError, match=r"a and .*b have one config, seed and fold"):
        kept_cards.keep(twice)
    rounded = run(house, "c", run={"out": "", "seed": 1, "precision": "bf16"})
    with pytest.raises(UsageError, match=r"c \(bf16\) and .*a \(f32\) differ in --precision"):
        kept_cards.keep([twice[0], rounded])


def test_a_kept_card_of_an_older_format_is_migrated(house: Path) -> None:
    old = {**CARD, "config": {"lr": 0.1, "offline": False}}
    del old["format"]
    path = house / "experiments" / "results" / "mlp_digits.json"
    path.parent.mkdir()
    path.write_text(json.dumps(old))
    assert kept_cards.result("mlp_digits")["config"] == {"recipe": {"lr": 0.1}}


def test_the_table_takes_the_place_of_the_old_one(house: Path) -> None:
    kept_cards.keep([run(house, "a")])
    page = house / "README.md"
    page.write_text(
        "before\n\n| other |\n|---|\n\n| experiment | old |\n|---|---|\n| x | y |\n\nafter\n"
    )
    table.write(page)
    assert page.read_text() == f"before\n\n| other |\n|---|\n\n{table.rows()}\n\nafter\n"
    page.write_text("no table")
    with pytest.raises(UsageError, match="has no table that begins with"):
        table.write(page)


def test_the_table_in_the_repository_is_that_of_the_kept_cards() -> None:
    page = Path(__file__).parents[2] / "experiments" / "README.md"
    assert f"\n\n{table.rows()}\n\n" in page.read_text(encoding="utf-8"), (
        "python -m dlcore.report.table"
    )
