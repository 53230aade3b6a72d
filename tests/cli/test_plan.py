"""`dlcore plan` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlcore.cli import main as cli
from tests.child import flags_of, tiny

WORDS = ["plan", "mlp_digits", *flags_of(tiny("mlp_digits"))]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "8")


@pytest.mark.slow
def test_a_plan_is_printed_and_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*WORDS, "--topology", "cpu:8", "--price", "2", "--json", "plan.json"]) == 0
    said = capsys.readouterr().out
    assert all(
        word in said
        for word in ("peak memory", "fits", "FLOPs", "all-to-all", "data", "efficiency", "dollars")
    )
    forecast = json.loads(Path("plan.json").read_text())
    assert forecast["mesh"] == {"data": 8, "fsdp": 1, "tensor": 1}
    assert forecast["memory"]["fits"]
    assert forecast["flops"] > 0
    assert forecast["run"]["dollars"] == pytest.approx(forecast["run"]["hours"] * 8 * 2)
    assert not Path("runs").exists()


@pytest.mark.slow
def test_a_search_names_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*WORDS, "--topology", "cpu:8", "--search", "--json", "plan.json"]) == 0
    assert "the fastest that fits is first" in capsys.readouterr().out
    forecast = json.loads(Path("plan.json").read_text())["candidates"]
    least = [each["step"]["least"] for each in forecast if each["memory"]["fits"]]
    assert least == sorted(least)
    assert len(forecast) == 2


@pytest.mark.quick
@pytest.mark.parametrize(
    ("words", "forecast"),
    [
        (["--topology", "tpu:v9:4x4"], "there is no tpu 'v9' in the table"),
        ([], "name the hardware: --topology tpu:v5e:4x4"),
        (["--topology", "cpu:8", "--mesh", "data=3"], "needs 3*1*1 = 3 devices, but there are 8"),
        (
            ["--topology", "cpu:8", "--mesh", "data=8", "--batch", "12"],
            "--batch 12 does not divide by 8 devices",
        ),
        (["--topology", "cpu:8", "--search", "--mesh", "data=8"], "leave out --mesh"),
        (["--topology", "cpu:8", "--json", "no/such/plan.json"], "its folder does not exist"),
        (
            ["--topology", "cpu:8", "--search", "--batch", "12"],
            "no mesh of 8 devices divides a batch of 12",
        ),
    ],
)
def test_bad_input_is_refused(
    words: list[str], forecast: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*WORDS, *words]) == 2
    assert forecast in capsys.readouterr().err


@pytest.mark.slow
def test_a_batch_that_does_not_divide_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*WORDS, "--batch", "12", "--topology", "cpu:8"]) == 0
    assert (
        "planned with --mesh data=4,tensor=2; --batch 16 would use them all"
        in capsys.readouterr().out
    )


@pytest.mark.quick
def test_help_and_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan"]) == 2
    assert cli.main(["plan", "--help"]) == 0
    assert "tpu:v5e:4x4" in capsys.readouterr().out
