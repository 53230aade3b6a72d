"""The fields of a sweep: what is drawn from them, and which words are refused."""

from __future__ import annotations

import importlib.util
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.cli import main as cli
from dlcore.cli import sweep_space
from dlcore.errors import UsageError


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("optuna"), reason="needs the extra `sweep`")
def test_optuna_learns_and_repeats_itself() -> None:
    """A parabola in log lr and a wrong choice: after ten trials at random it does better than
    these.
    """
    fields = [
        sweep_space.field("lr=1e-6..1:log"),
        sweep_space.field("kind=a,b"),
        sweep_space.field("width=8..64"),
    ]

    def tried(seed: int) -> list[float]:
        found: list[float] = []

        def score(values: dict[str, str]) -> float | None:
            assert 8 <= int(values["width"]) <= 64
            found.append((math.log10(float(values["lr"])) + 3) ** 2 + 4 * (values["kind"] == "b"))
            return None if len(found) == 3 else found[-1]

        sweep_space.suggested(fields, 50, seed, lower=True, score=score)
        return found

    first = tried(0)
    assert first == tried(0)
    assert first != tried(1)
    assert sum(first[-20:]) / 20 < 0.5 * sum(first[:10]) / 10


@pytest.mark.quick
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["lr"], "has no candidates"),
        (["out=a,b"], "--out cannot be used in a sweep"),
        (["lr=1e-3", "lr=1e-2"], "lr is named twice"),
        (["lr=1e-3", "--", "--seeds", "4"], "--seeds cannot be used in a sweep"),
        (["lr=1..0"], "is no range"),
        (["lr=0..1:log"], "is no range"),
        (["lr=a..b"], "are not the ends of a range"),
        (["lr=1e-4..1e-2"], "needs --trials"),
        (["lr=1e-4..1e-2", "--by", "grid"], "needs values of lr"),
        (["lr=1e-3", "--by", "grid", "--trials", "2"], "leave --trials out"),
        (["lr=1e-3", "--metric", "test/accuracy", "--", "--batch", "0"], "--batch 0 is too small"),
        (
            [
                "lr=1..2",
                "--by",
                "optuna",
                "--trials",
                "2",
                "--metric",
                "test/accuracy",
                "--dry-run",
            ],
            "neither --dry-run",
        ),
    ],
)
def test_bad_words_are_refused(
    words: list[str],
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sweep", "mlp_digits", *words]) == 2
    assert why in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.quick
@pytest.mark.parametrize("words", [["learning=1e-3"], ["lr=fast"]])
def test_a_field_or_value_that_the_config_does_not_take_ends_it(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(["sweep", "mlp_digits", *words, "--metric", "test/accuracy"])
    assert ended.value.code == 2


@pytest.mark.slow
@pytest.mark.quick
@given(
    low=st.floats(1e-6, 1e3), ratio=st.floats(1.01, 1e6), seed=st.integers(0, 99), log=st.booleans()
)
def test_draws_stay_in_their_range_and_begin_alike(
    low: float, ratio: float, seed: int, log: bool
) -> None:
    each = sweep_space.Field("lr", low=low, high=low * ratio, log=log)
    few, many = sweep_space.drawn([each], 5, seed), sweep_space.drawn([each], 9, seed)
    assert many[:5] == few
    for values in many:
        assert float(values["lr"]) == pytest.approx(
            min(max(float(values["lr"]), low), low * ratio), rel=1e-5
        )


@pytest.mark.quick
def test_a_logarithmic_draw_has_its_median_in_the_middle_of_the_exponents() -> None:
    dice, each = random.Random(0), sweep_space.field("lr=1e-6..1:log")
    drawn = sorted(float(each.draw(dice)) for _ in range(999))
    assert -3.5 < math.log10(drawn[499]) < -2.5
    whole = [sweep_space.field("width=3..5").draw(dice) for _ in range(200)]
    assert set(whole) == {"3", "4", "5"}


@pytest.mark.quick
def test_a_range_of_bad_ends_is_an_error_of_its_own() -> None:
    with pytest.raises(UsageError, match="is no range"):
        sweep_space.field("lr=1..inf")
