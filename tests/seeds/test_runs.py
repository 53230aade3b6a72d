"""Seeds side by side in one program: each is the run that it would have been alone, and leaves what
that would have left.
"""

from __future__ import annotations

import functools
import json
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcore.cli import main as cli
from tests.child import Child, card, flags_of, logged, run, tiny

# side by side and alone have the same bits in programs that are compiled as runs are
pytestmark = [pytest.mark.nightly, pytest.mark.usefixtures("optimised")]

SEEDS, STEPS = 3, 23
OFTEN = ["--steps", str(STEPS), "--save-every", "7", "--log-every", "5", "--eval-every", "8"]


def words(name: str, out: Path | str, *more: Any) -> list[Any]:
    return ["train", name, *flags_of(tiny(name)), *OFTEN, "--out", out, *more]


def parameters(folder: Path) -> dict[str, np.ndarray]:
    """The newest parameters of a run, through the command that gives them to other tools."""
    file = folder.parent / f"{folder.name}.npz"
    code, said = run("export", folder, file, folder=folder.parent)
    assert code == 0, said
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@functools.cache
def alone(seed: int, name: str = "mlp_digits") -> Path:
    """The run of one seed."""
    folder = Path(tempfile.mkdtemp())
    code, said = run(*words(name, "run", "--seed", seed), folder=folder)
    assert code == 0, said
    return folder / "run"


@functools.cache
def together() -> Path:
    """Seeds 1, 2 and 3 side by side."""
    folder = Path(tempfile.mkdtemp())
    code, said = run(*words("mlp_digits", "runs", "--seed", 1, "--seeds", SEEDS), folder=folder)
    assert code == 0, said
    assert f"{SEEDS} done of {SEEDS} seeds" in said
    return folder / "runs"


def equal(ours: Path, whole: Path, steps: int = STEPS) -> None:
    """The same parameters, bit for bit, and the same results; a loss is a sum, whose last bit may
    be another one.
    """
    a, b = card(ours), card(whole)
    assert (a["status"], a["step"], a["experiment"], a["parameters"]) == (
        "done",
        steps,
        b["experiment"],
        b["parameters"],
    )
    mine, others = parameters(ours), parameters(whole)
    assert mine.keys() == others.keys()
    for each in mine:
        np.testing.assert_array_equal(mine[each], others[each], err_msg=each)
    assert a["params_sha256"] == b["params_sha256"]
    for split, metrics in b["results"].items():
        assert a["results"][split] == pytest.approx(metrics, rel=1e-6)
        assert a["results"][split]["accuracy"] == metrics["accuracy"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_seed_is_the_run_that_it_would_have_been_alone(seed: int) -> None:
    ours, whole = together() / f"seed-{seed}", alone(seed)
    equal(ours, whole)
    got, want = logged(ours), logged(whole)
    assert [line.keys() for line in got] == [line.keys() for line in want]
    assert [(line["step"], line["split"]) for line in got] == [
        (line["step"], line["split"]) for line in want
    ]
    for mine, other in zip(got, want, strict=True):
        assert mine == {
            k: v if isinstance(v, str) else pytest.approx(v, rel=1e-6) for k, v in other.items()
        }
    assert card(ours)["marks"] == card(whole)["marks"]
    assert sorted(p.name for p in (ours / "checkpoints").iterdir()) == sorted(
        p.name for p in (whole / "checkpoints").iterdir()
    )
    assert {p.name.split(".")[0] for p in ours.iterdir()} == {
        p.name.split(".")[0] for p in whole.iterdir()
    }
    a, b = card(ours), card(whole)
    assert {key: value for key, value in a["run"].items() if key != "out"} == {
        key: value for key, value in b["run"].items() if key != "out"
    }
    assert (a["devices"], a["mesh"], a["data"], a["config"]) == (
        b["devices"],
        b["mesh"],
        b["data"],
        b["config"],
    )
    assert (a["together"], a.keys() - b.keys(), b.keys() - a.keys()) == (SEEDS, {"together"}, set())


def test_seeds_differ() -> None:
    hashes = [card(together() / f"seed-{seed}")["params_sha256"] for seed in (1, 2, 3)]
    assert len({each["start"] for each in hashes}) == len({each["end"] for each in hashes}) == SEEDS


def test_other_commands_take_a_seed_s_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [together() / f"seed-{seed}" for seed in (1, 2, 3)]
    code, said = run("eval", folders[0], folder=tmp_path)
    assert (code, f"at step {STEPS}" in said) == (0, True), said
    code, said = run("resume", folders[1], folder=tmp_path)
    assert (code, "nothing to do" in said) == (0, True), said
    code, said = run("verify", folders[2], folder=tmp_path)
    assert code == 0, said
    assert cli.main(["report", str(together()), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert all(f"seed-{seed}" in page for seed in (1, 2, 3))


def test_stopped_and_gone_on_with_alone_or_together(tmp_path: Path) -> None:
    long = [
        "--steps",
        "600",
        "--save-every",
        "200",
        "--log-every",
        "10",
        "--eval-every",
        "100",
        "--diagnose",
        "never",
    ]
    begin = [*words("mlp_digits", "runs", "--seed", 1, "--seeds", SEEDS, *long), "--continue-run"]
    folders = [tmp_path / "runs" / f"seed-{seed}" for seed in (1, 2, 3)]
    child = Child(*begin, folder=tmp_path)
    child.until(lambda: bool(logged(folders[2], "train")))
    child.send(signal.SIGTERM)
    assert child.wait() == 75, child.output()
    assert "--continue-run continues" in child.output()
    stopped = [card(folder) for folder in folders]
    assert {each["status"] for each in stopped} == {"stopped"}
    (step,) = {each["step"] for each in stopped}
    assert all((folder / "checkpoints" / str(step)).is_dir() for folder in folders)

    code, said = run("resume", folders[1], folder=tmp_path)
    assert code == 0, said
    code, said = run(*begin, folder=tmp_path)
    assert (code, "training 2 seeds" in said, "3 done of 3 seeds" in said) == (0, True, True), said
    code, said = run(*begin, folder=tmp_path)
    assert (code, "3 done of 3 seeds" in said, "training" in said) == (0, True, False), said
    for seed in (1, 2):
        code, said = run(
            *words("mlp_digits", f"alone-{seed}", "--seed", seed, *long), folder=tmp_path
        )
        assert code == 0, said
        equal(folders[seed - 1], tmp_path / f"alone-{seed}", steps=600)
        places = [(line["step"], line["split"]) for line in logged(folders[seed - 1])]
        assert len(places) == len(set(places))


def test_killed_they_go_on_from_the_last_sound_step_that_all_have_saved(tmp_path: Path) -> None:
    begin = [
        *words("mlp_digits", "runs", "--seeds", 2, "--steps", "300", "--save-every", "20"),
        "--continue-run",
    ]
    folders = [tmp_path / "runs" / f"seed-{seed}" for seed in (0, 1)]
    child = Child(*begin, folder=tmp_path)
    child.until(lambda: (folders[1] / "checkpoints" / "60").is_dir())
    child.send(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    saved = [
        {int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit()}
        for folder in folders
    ]
    for path in (folders[1] / "checkpoints" / str(max(set.intersection(*saved)))).rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code, said = run(*begin, folder=tmp_path)
    assert code == 0, said
    assert "all seeds continue from an older step" in said
    code, said = run(
        *words("mlp_digits", "alone", "--steps", "300", "--save-every", "20"), folder=tmp_path
    )
    assert code == 0, said
    equal(folders[0], tmp_path / "alone", steps=300)


def test_without_a_step_in_common_nothing_is_lost(tmp_path: Path) -> None:
    begin = [
        *words("mlp_digits", "runs", "--seeds", 2, "--steps", "40", "--save-every", "20"),
        "--continue-run",
    ]
    assert run(*begin, folder=tmp_path)[0] == 0
    folders = [tmp_path / "runs" / f"seed-{seed}" for seed in (0, 1)]
    for folder, lost in zip(folders, ("20", "40"), strict=True):
        shutil.rmtree(folder / "checkpoints" / lost)
        (folder / "card.json").write_text(json.dumps(card(folder) | {"status": "stopped"}))
    code, said = run(*begin, folder=tmp_path)
    assert (
        code,
        "no checkpoint of the same step: dlcore resume continues each of them alone" in said,
    ) == (2, True), said
    for folder in folders:
        assert run("resume", folder, folder=tmp_path)[0] == 0
