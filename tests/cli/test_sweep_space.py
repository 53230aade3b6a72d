"""What a sweep tries, by hand: fields from words, draws, grids; and how its trials are ranked and
its flags written.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from dlcore.cli import sweep_space, sweep_trials
from dlcore.cli.sweep_space import Field, drawn, field, grid
from dlcore.cli.sweep_trials import Trial
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("lr=1e-4..1e-2:log", Field("lr", low=1e-4, high=1e-2, log=True)),
        ("lr=0.1..2", Field("lr", low=0.1, high=2)),
        ("width=64..256", Field("width", low=64, high=256, whole=True)),
        ("width=64..256:log", Field("width", low=64, high=256, log=True, whole=True)),
        ("shift=-3..3", Field("shift", low=-3, high=3, whole=True)),
        ("width=64..256.0", Field("width", low=64, high=256)),
        ("--weight_decay=0,0.1,0", Field("weight-decay", ("0", "0.1"))),
        ("widths=16 16,32", Field("widths", ("16 16", "32"))),
        ("a=b=c", Field("a", ("b=c",))),
    ],
)
def test_fields(word: str, expected: Field) -> None:
    assert field(word) == expected


NO_FIELDS = (
    *(
        "lr",
        "lr=",
        "=1",
        "--=1",
        "lr=2..2",
        "lr=2..1",
        "lr=0..1:log",
        "lr=-1..1:log",
        "lr=1..2:lin",
        "lr=1..nan",
    ),
    *("lr=..1", "lr=a..1", "lr=-inf..1"),
)


@pytest.mark.parametrize("word", NO_FIELDS)
def test_words_that_are_no_field(word: str) -> None:
    with pytest.raises(UsageError, match=r"has no candidates|is no range|are not the ends"):
        field(word)


def test_numbers_stay_in_the_range_and_have_six_digits() -> None:
    assert [Field("x", low=1, high=2).rounded(x) for x in (0.5, 1.23456789, 3.0)] == [
        "1",
        "1.23457",
        "2",
    ]
    assert [Field("x", low=1, high=9, whole=True).rounded(x) for x in (0.1, 2.6, 12.0)] == [
        "1",
        "3",
        "9",
    ]


def test_draws() -> None:
    dice = random.Random(0)
    assert {Field("x", ("a", "b")).draw(dice) for _ in range(50)} == {"a", "b"}
    logs = [int(field("x=1..1000:log").draw(dice)) for _ in range(400)]
    assert set(logs) <= set(range(1, 1001))
    assert 0.4 < sum(value < 32 for value in logs) / 400 < 0.6, (
        "as many below the middle of the exponents as above"
    )
    even = [float(field("x=0.0..1").draw(dice)) for _ in range(400)]
    assert 0.4 < sum(value < 0.5 for value in even) / 400 < 0.6
    assert (
        len({json.dumps(each) for each in drawn([field("a=0.0..1"), field("b=0.0..1")], 5, 3)}) == 5
    )
    assert drawn([field("a=0.0..1")], 3, 3) != drawn([field("a=0.0..1")], 3, 4)


def test_a_grid_is_every_combination_in_order() -> None:
    assert grid([field("a=1,2"), field("b=x,y")]) == [
        {"a": "1", "b": "x"},
        {"a": "1", "b": "y"},
        {"a": "2", "b": "x"},
        {"a": "2", "b": "y"},
    ]
    with pytest.raises(UsageError, match="needs values of b"):
        grid([field("a=1,2"), field("b=1..2")])


def begun(folder: Path, metric: str, **request: Any) -> sweep_trials.Sweep:
    words = {"experiment": "e", "out": str(folder), "launcher": "", "dry_run": False} | request
    return sweep_trials.Sweep(sweep_trials.Request(**words), ["--offline"], metric)


@pytest.mark.parametrize(
    ("metric", "order"), [("validation/f1", "bacd"), ("-validation/f1", "cabd")]
)
def test_trials_are_ranked_and_those_without_a_score_are_last(
    tmp_path: Path, metric: str, order: str
) -> None:
    one = begun(tmp_path, metric)
    assert one.metric == "validation/f1"
    for run, score in zip("abcd", (2.0, 3.0, 1.0, None), strict=True):
        status = "done" if score else "failed"
        one.trials.append(Trial(run, {}, status, {"validation/f1": score}))
    assert "".join(trial.run for trial in one.best()) == order
    one.begin({"seed": 3})
    kept = json.loads((tmp_path / "sweep.json").read_text())
    assert (kept["seed"], "".join(trial["run"] for trial in kept["trials"])) == (3, order)
    again = begun(tmp_path, metric)
    again.trials.append(Trial("c", {}, "done", {"validation/f1": 9.0}))
    assert "".join(trial.run for trial in again.best()) == (
        "cbad" if order == "bacd" else "abcd"
    ), "a new score counts"


def test_the_table_of_trials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = begun(tmp_path, "test/f1")
    one.trials = [
        Trial("001", {"lr": "1", "width": "8"}, "done", {"test/f1": 0.123456789}),
        Trial("002", {"lr": "2"}, "failed", {"test/f1": None}),
    ]
    one.show()
    assert capsys.readouterr().out.splitlines() == [
        "001  done      test/f1 0.123457  lr 1  width 8",
        "002  failed    test/f1 -  lr 2",
    ]


def test_commands(tmp_path: Path) -> None:
    values = {"lr": "1e-3", "widths": "8 16", "pretrained": "False", "augment": "true"}
    words = [
        "train",
        "e",
        "--offline",
        "--lr",
        "1e-3",
        "--widths",
        "8",
        "16",
        "--no-pretrained",
        "--augment",
        "--out",
    ]
    assert begun(tmp_path, "x").command(12, values)[1:] == [
        "-m",
        "dlcore",
        *words,
        str(tmp_path / "012"),
        "--continue-run",
    ]
    launched = begun(tmp_path, "x", launcher="start --name 'job {run}' --").command(3, {})
    assert launched[:4] == ["start", "--name", "job 003", "--"]
    assert launched[4] == "train"


def test_only_more_trials_and_another_ranking_may_change(tmp_path: Path) -> None:
    what = {"by": "grid", "seed": 0, "metric": "a"}
    sweep_trials.check_same(tmp_path, what)
    begun(tmp_path, "a").begin(what)
    sweep_trials.check_same(tmp_path, what | {"metric": "b"})
    with pytest.raises(UsageError, match=r"holds another sweep \(seed: 0 then, 1 now\)"):
        sweep_trials.check_same(tmp_path, what | {"seed": 1})
    begun(tmp_path, "a").begin(what | {"by": "optuna"})
    with pytest.raises(UsageError, match=r"metric: a then, b now"):
        sweep_trials.check_same(tmp_path, what | {"by": "optuna", "metric": "b"})


@pytest.mark.parametrize(
    ("code", "way"),
    [
        (2, "ended with exit code 2: see its output above"),
        (75, "ended with exit code 75: the same command continues"),
    ],
)
def test_a_trial_that_did_not_end_stops_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, way: str
) -> None:
    monkeypatch.setattr(sweep_trials, "call", lambda words: code)
    one = begun(tmp_path, "test/f1")
    one.begin({})
    with pytest.raises(UsageError, match=way):
        one.trial({"lr": "1"})


def test_a_trial_that_diverged_has_no_score_and_is_not_run_again_nor_one_that_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial that was stopped, by a signal or a full disk, is tried again; a score may be null."""
    called: list[str] = []
    monkeypatch.setattr(sweep_trials, "call", lambda words: called.append(words[-2][-3:]) or 70)
    one = begun(tmp_path, "test/f1")
    one.begin({})
    cards = [("failed", {}), ("done", 0.5), ("done", None), ("stopped", 0.9), ("done", 0.7)]
    for number, (status, value) in enumerate(cards, 1):
        results = {"test": {"f1": value}} if status == "done" else {}
        (folder := tmp_path / f"{number:03d}").mkdir()
        (folder / "card.json").write_text(json.dumps({"status": status, "results": results}))
    assert [one.trial({}) for _ in cards] == [None, 0.5, None, None, 0.7]
    assert called == ["004"]
    kept = json.loads((tmp_path / "sweep.json").read_text(), parse_constant=pytest.fail)
    assert [trial["run"] for trial in kept["trials"]][:2] == ["005", "002"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(UsageError, match=r"sweep\.json is damaged"):
        begun(tmp_path, "x")


@pytest.mark.slow
def test_optuna_asks_for_words_whole_numbers_and_others_and_learns_the_direction() -> None:
    pytest.importorskip("optuna", reason="optuna is not installed: pip install 'dlcore[sweep]'")
    means = []
    for lower in (True, False):
        tried: list[float] = []

        def score(values: dict[str, str], tried: list[float] = tried) -> float:
            assert values["kind"] in ("a", "b")
            assert 1 <= int(values["width"]) <= 100
            tried.append(float(values["lr"]))
            return tried[-1]

        sweep_space.suggested(
            [field("lr=0.0..1"), field("kind=a,b"), field("width=1..100:log")], 40, 0, lower, score
        )
        means.append(sum(tried[-10:]) / 10)
    assert means[0] < 0.3 < 0.7 < means[1]
