"""At night, with processes of their own: strangers' runs, two runs that want one folder, exports
that are killed or find no room.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.child import REPOSITORY, Child, card, flags_of, run, tiny

pytestmark = pytest.mark.nightly
MLP = flags_of(tiny("mlp_digits"))
PAIRS, KILLS = 100, 50
SLOW_GIT = """#!/bin/sh
sleep 0.3
PATH=${PATH#*:} exec git "$@"
"""


@pytest.fixture(scope="module")
def trained() -> Iterator[Path]:
    """A run whose export takes a moment: 4 million parameters."""
    folder = Path(tempfile.mkdtemp())
    words = [*MLP, "--widths", "2000", "1900", "--steps", "2", "--save-every", "1", "--out", "run"]
    code, said = run("train", "mlp_digits", *words, folder=folder)
    assert code == 0, said
    yield folder / "run"
    shutil.rmtree(folder)


RUNS, KEPT = (
    [
        "s1/experiment.py as experiment",
        "s2/idea.py as file",
    ],
    "kept.json and a file beside it",
)


@pytest.mark.parametrize(
    ("which", "command"),
    [
        *(
            (which, command)
            for which in RUNS
            for command in ("eval", "resume", "sample", "export", "verify")
        ),
        (KEPT, "verify"),
    ],
)
def test_a_stranger_s_run_executes_nothing_until_it_is_trusted(
    which: str, command: str, trained: Path, tmp_path: Path
) -> None:
    text = (REPOSITORY / "experiments" / "mlp_digits.py").read_text(encoding="utf-8")
    evil = (
        f"{text}\nimport"
        f" pathlib\n\npathlib.Path({str(tmp_path / 'executed')!r}).mkdir(exist_ok=True)\n"
    )
    stranger = Path(shutil.copytree(trained, tmp_path / "s1"))
    if which.startswith("s1"):
        (stranger / "experiment.py").write_text(evil)
        record = {"experiment": "s1/experiment.py", "file": ""}
    else:
        (tmp_path / "s2").mkdir()
        (tmp_path / "s2" / "idea.py").write_text(evil)
        record = {"experiment": "idea", "file": "s2/idea.py"}
    record = {**card(stranger), **record, "status": "stopped"}
    (stranger / "card.json").write_text(json.dumps(record))
    if which == KEPT:
        (tmp_path / "kept.json").write_text(json.dumps(record))
    named = "kept.json" if which == KEPT else "s1"
    words = [
        command,
        named,
        *(["p.npz"] if command == "export" else []),
        *(["--accept-changes"] if command == "resume" else []),
    ]
    code, said = run(*words, folder=tmp_path, XDG_STATE_HOME=str(tmp_path / "state"))
    assert code == 2, said
    assert "is not executed" in said
    assert not (tmp_path / "executed").exists()
    code, said = run(*words, "--trust", folder=tmp_path, XDG_STATE_HOME=str(tmp_path / "state"))
    assert (tmp_path / "executed").exists(), said


def test_of_two_that_want_a_folder_one_trains_and_the_other_touches_nothing(tmp_path: Path) -> None:
    """The second starts at once, or some milliseconds later; in every other pair git is slow."""
    git, draw = tmp_path / "bin" / "git", random.Random(0)
    git.parent.mkdir()
    git.write_text(SLOW_GIT)
    git.chmod(0o755)
    slow = {"PATH": f"{git.parent}:/usr/local/bin:/usr/bin:/bin"}
    for pair in range(PAIRS):
        out, more = tmp_path / f"new-{pair}" / "run", slow if pair % 2 else {}
        first = Child("train", "mlp_digits", *MLP, "--out", out, folder=tmp_path, **more)
        first.process.join(draw.choice((0, 0, 0.05, 0.2, 0.5)))
        second = Child("train", "mlp_digits", *MLP, "--out", out, folder=tmp_path, **more)
        codes = sorted((first.wait(), second.wait()))
        said = first.output() + second.output()
        assert codes == [0, 2], (pair, said)
        assert ("another process is training in" in said) or ("already holds a run" in said), said
        assert card(out)["status"] == "done", (pair, said)
        assert (out / "checkpoints" / "6").is_dir()
        assert (out / "experiment.py").read_text() == (
            REPOSITORY / "experiments" / "mlp_digits.py"
        ).read_text()
        shutil.rmtree(out.parent)


@pytest.mark.parametrize("how", ["killed", "no room"])
def test_an_export_leaves_the_old_file_or_the_new_one(
    how: str, trained: Path, tmp_path: Path
) -> None:
    """Killed once half of the file is written, or stopped by a limit on the size of a file, as by a
    full disk.
    """
    file, draw, ends = tmp_path / "p.npz", random.Random(0), []
    whole = tmp_path / "whole.npz"
    code, said = run("export", trained, whole, folder=tmp_path)
    assert code == 0, said
    sizes = whole.stat().st_size
    old = b"what was there before"
    file.write_bytes(old)
    for attempt in range(KILLS // 2):
        child = Child("export", trained, file, folder=tmp_path)
        if how == "killed":
            wait = draw.random()
            child.until(
                lambda wait=wait: any(
                    p.stat().st_size > wait * sizes for p in tmp_path.glob(".p.npz.*")
                ),
                every=0.001,
            )
            child.send(signal.SIGKILL)
        else:
            limit = draw.randrange(sizes // 10, sizes)
            resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        ends.append(child.wait())
        content = file.read_bytes()
        assert content == old or content == whole.read_bytes(), (attempt, ends, child.output())
        if how == "no room":
            assert ends[-1] == 2, child.output()
            assert "cannot write" in child.output()
            assert not list(tmp_path.glob(".p.npz.*"))
        if content != old:
            file.write_bytes(old)
    if how == "killed":
        assert ends.count(-9) > KILLS // 4, ends
    code, said = run("export", trained, file, folder=tmp_path)
    assert code == 0, said
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "p.npz",
        "whole.npz",
    ], "what the killed ones left is gone"
    with np.load(file, allow_pickle=False) as ours, np.load(whole, allow_pickle=False) as theirs:
        assert sorted(ours.files) == sorted(theirs.files)
