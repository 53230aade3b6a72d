"""The commands, from the outside: what they print, where they write, what they choose."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from dlcore.cli import main as cli
from dlcore.cli import run_commands
from dlcore.options import RunOptions
from dlcore.runs import session as runs
from dlcore.runtime import notices
from dlcore.runtime.devices import simulated
from tests.child import card, flags_of, run, tiny

pytestmark = pytest.mark.slow

SHORT = ["train", "mlp_digits", *flags_of(tiny("mlp_digits"))]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


@pytest.fixture(scope="module")
def trained() -> Iterator[Path]:
    """A short run, made by a process of its own."""
    folder = Path(tempfile.mkdtemp())
    code, said = run(*SHORT, "--out", "run", folder=folder)
    assert code == 0, said
    yield folder / "run"
    shutil.rmtree(folder)


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """The same run, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_eval_says_what_the_card_says(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["eval", str(trained)]) == 0
    said = capsys.readouterr().out
    assert f"step {card(trained)['best']['step']}, the best by validation/accuracy" in said
    for split, metrics in card(trained)["results"].items():
        line = next(line for line in said.splitlines() if line.startswith(f"{split}: "))
        printed = dict(zip(line.split()[1::2], map(float, line.split()[2::2]), strict=True))
        assert printed == pytest.approx(metrics, rel=1e-4)


def test_sample_report_and_export(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(copied / "samples")
    assert cli.main(["sample", str(copied)]) == 0
    assert "Test digits" in capsys.readouterr().out
    assert any((copied / "samples").iterdir())
    assert cli.main(["report", str(copied)]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page == copied / "report.html"
    text = page.read_text()
    assert "mlp_digits" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert cli.main(["export", str(copied), "last.npz"]) == 0
    with np.load("last.npz", allow_pickle=False) as arrays:
        assert sum(arrays[name].size for name in arrays.files) == sum(
            card(copied)["parameters"].values()
        )


def test_report_sets_runs_side_by_side(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(copied, "other")
    assert cli.main(["report", str(copied), "other", "--out", "both.html"]) == 0
    assert Path("both.html").stat().st_size > 1000


@pytest.mark.nightly
def test_numbered_runs_and_the_newest_is_chosen_and_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in ("001", "002"):
        assert cli.main(SHORT) == 0
        assert card(Path("runs/mlp_digits") / number)["status"] == "done"
    capsys.readouterr()
    assert sorted(path.name for path in Path("runs/mlp_digits").iterdir()) == ["001", "002"]
    assert cli.main(["resume", "runs/mlp_digits"]) == 0
    said = capsys.readouterr().out
    assert "holds 2 runs" in said
    assert str(Path("runs/mlp_digits/002")) in said
    assert "nothing to do" in said
    # A number that is gone is not given again while a later one stands.
    shutil.rmtree("runs/mlp_digits/001")
    assert cli.main(SHORT) == 0
    assert sorted(path.name for path in Path("runs/mlp_digits").iterdir()) == ["002", "003"]


@pytest.mark.parametrize(
    ("words", "devices"), [([], 4), (["--mesh", "data=2"], 2), (["--mesh=data=2,fsdp=4"], 8)]
)
def test_resume_takes_as_many_devices_as_before_or_as_the_new_mesh_has(
    words: list[str], devices: int, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = card(copied)
    (copied / "card.json").write_text(
        json.dumps(printed | {"devices": printed["devices"] | {"count": 4}})
    )
    monkeypatch.setenv("DLCORE_COORDINATOR", "")  # as good as not set
    seen: list[RunOptions] = []
    monkeypatch.setattr(run_commands, "prepare", lambda flags, batch: seen.append(flags) or flags)
    monkeypatch.setattr(runs, "resume", lambda *_: 0)
    assert cli.main(["resume", str(copied), *words]) == 0
    (flags,) = seen
    assert (flags.cpu_devices or simulated(flags, batch=32)) == devices


def test_compiling_is_said_where_it_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "SECONDS", 0.0)
    assert cli.main([*SHORT, "--out", "run"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines.index("compiling ...") < next(
        i for i, line in enumerate(lines) if line.startswith("step ")
    )
    assert (
        sum(
            line.endswith(" ...") and line.startswith("the evaluation of validation")
            for line in lines
        )
        == 1
    )
    assert cli.main(["eval", "run"]) == 0
    assert "compiling ..." in capsys.readouterr().err.splitlines()


def test_the_same_words_begin_a_run_and_go_on_with_it(tmp_path: Path) -> None:
    words = ["train", "mlp_digits", *flags_of(tiny("mlp_digits")), "--out", "run", "--continue-run"]
    code, said = run(*words, folder=tmp_path)
    assert (code, "done at step 6/6" in said) == (0, True), said
    code, said = run(*words, folder=tmp_path)
    assert (code, "complete at step 6: nothing to do" in said) == (0, True), said
    code, said = run(*words, "--lr", "0.5", folder=tmp_path)
    assert code == 2
    assert "config recipe.lr:" in said
    without = [word for word in words if word != "--continue-run"]
    without[without.index("--out") + 1] = "other"
    code, said = run(*without, folder=tmp_path)
    assert code == 0, said
    code, said = run(*without, "--continue-run", folder=tmp_path)
    assert (code, "complete at step 6: nothing to do" in said) == (0, True), said
    code, said = run("train", "mlp_digits", "--continue-run", folder=tmp_path)
    assert (code, "--continue-run needs --out" in said) == (2, True), said


def test_a_preset_is_a_config_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "mlp_digits", "--preset", "tiny", "--steps", "2"]
    assert cli.main([*words, "--out", "a"]) == 0
    assert cli.main(["train", "mlp_digits", "--preset=tiny", "--steps", "2", "--out", "b"]) == 0
    configs = [card(Path(run))["config"] for run in ("a", "b")]
    assert configs[0] == configs[1]
    assert (configs[0]["widths"], configs[0]["steps"]) == ([16], 2)
    capsys.readouterr()
    assert cli.main(["train", "mlp_digits", "--preset", "huge"]) == 2
    assert "mlp_digits has no preset 'huge': it has tiny" in capsys.readouterr().err
    for words in (["--preset"], ["--preset=", "--steps", "2"]):
        assert cli.main(["train", "mlp_digits", *words]) == 2
        assert "--preset needs a name; mlp_digits has tiny" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["train", "gan_mnist", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--preset hinge: --loss hinge --spectral" in said
    assert said.index("experiment options") < said.index("--spectral, --no-spectral")
    assert said.index("--steps INT") < said.index("run options") < said.index("--seed INT")
