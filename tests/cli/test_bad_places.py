"""Folders that are full, closed, taken or hostile: exit code 2, a message, and what was there
before is as it was.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from dlcore.cli import main as cli
from dlcore.runs import checkpoint
from tests.child import card, environment, flags_of, run, tiny

pytestmark = pytest.mark.slow

MLP = flags_of(tiny("mlp_digits"))
ROOT = os.geteuid() == 0


ON_A_SMALL_DISK = f"""
set -e
mount -t tmpfs -o size=300k tmpfs "$1"
disk=$1
shift
set +e
"$@"
echo "code $?"
mount -o remount,size=64m "$disk"
{sys.executable} -m dlcore resume "$disk/run" > /dev/null
echo "then $?"
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


@pytest.fixture(scope="module")
def trained() -> Iterator[Path]:
    """A short run."""
    folder = Path(tempfile.mkdtemp())
    code, said = run(
        "train", "mlp_digits", *MLP, "--save-every", "3", "--out", "run", folder=folder
    )
    assert code == 0, said
    yield folder / "run"
    shutil.rmtree(folder)


@pytest.fixture
def stopped(trained: Path, tmp_path: Path) -> Path:
    """The same run as if it had been stopped before its end."""
    out = Path(shutil.copytree(trained, tmp_path / "run"))
    record = card(out)
    record |= {"status": "stopped", "steps": 9, "config": record["config"] | {"steps": 9}}
    (out / "card.json").write_text(json.dumps(record))
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def command(*words: Any) -> list[str]:
    return [sys.executable, "-m", "dlcore", *map(str, words)]


def test_no_room_is_said_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as full:
        full.setattr(
            shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2**30, 2**30 - 100, 100)
        )
        assert cli.main(["train", "mlp_digits", *MLP, "--out", "new/run"]) == 2
        said = capsys.readouterr().err
        assert "0 MiB free" in said
        assert "free disk space" in said
        assert not Path("new/run").exists(), "no run is left behind"
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "notes.txt").write_text("mine")
        assert cli.main(["train", "mlp_digits", *MLP, "--out", "mine"]) == 2
        assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"
    assert cli.main(["train", "mlp_digits", *MLP, "--out", "mine"]) == 0, (
        "and the folder can be used once there is room"
    )


def test_a_disk_that_fills_up_while_training(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The complete checkpoint stays, and training resumes from it once there is disk space."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def save(*_: Any, **__: Any) -> None:
        raise full

    before = contents(stopped / "checkpoints")
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.ocp.CheckpointManager, "save", save)
        assert cli.main(["resume", str(stopped)]) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "the checkpoint of step 6 is complete" in said
    assert "dlcore resume" in said
    assert "Traceback" not in said
    assert {name: before[name] for name in before} == {
        name: contents(stopped / "checkpoints").get(name) for name in before
    }
    assert card(stopped)["status"] == "stopped"
    assert cli.main(["resume", str(stopped)]) == 0
    assert card(stopped)["status"] == "done"


@pytest.mark.nightly
@pytest.mark.skipif(
    not ROOT or not shutil.which("unshare"),
    reason="a small disk of one's own needs root and unshare",
)
def test_a_real_full_disk(tmp_path: Path) -> None:
    """A disk of 300 KiB: the first checkpoints fit, then none does."""
    disk, script = tmp_path / "disk", tmp_path / "on-a-small-disk.sh"
    disk.mkdir()
    words = command(
        "train",
        "mlp_digits",
        *MLP,
        "--steps",
        400,
        "--save-every",
        3,
        "--keep",
        6,
        "--out",
        disk / "run",
    )
    script.write_text(ON_A_SMALL_DISK)
    call = ["unshare", "-m", "sh", str(script), str(disk), *words]
    done = subprocess.run(
        call,
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    if "code" not in done.stdout:
        pytest.skip(f"no disk of one's own here: {done.stderr[:200]}")
    assert "code 2" in done.stdout, done
    assert "free disk space" in done.stderr
    # Orbax's threads may say more, at their own end
    assert done.stderr.count("dlcore: ") == 1, done.stderr
    assert "then 0" in done.stdout, done


@pytest.mark.nightly
@pytest.mark.skipif(
    ROOT and not shutil.which("setpriv"),
    reason="root may write anywhere, and there is no setpriv to change that",
)
def test_folders_without_permission(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    bound = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if ROOT else []

    def bounded(*words: Any) -> subprocess.CompletedProcess[str]:
        call = [*bound, *command(*words)]
        return subprocess.run(
            call,
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    # A run that may be read: looking is allowed, going on is not.
    code, said = run("train", "mlp_digits", *MLP, "--out", "run", folder=closed)
    assert code == 0, said
    record = card(closed / "run") | {"status": "stopped"}
    (closed / "run" / "card.json").write_text(json.dumps(record))
    before = contents(closed)
    for path in [closed, *closed.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        for words, way in (
            (("train", "mlp_digits", *MLP, "--out", closed / "new"), "choose another --out"),
            (("resume", closed / "run"), "choose another --out"),
            (("sample", closed / "run"), "Permission denied"),
            (("report", closed / "run"), "Permission denied"),
            (("export", closed / "run", closed / "last.npz"), "name another file"),
        ):
            done = bounded(*words)
            assert done.returncode == 2, done
            assert way in done.stderr
            assert "Traceback" not in done.stderr
        done = bounded("eval", closed / "run")
        assert done.returncode == 0, done
        assert contents(closed) == before
    finally:
        for path in [closed, *closed.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_folder_that_another_process_trains_in(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(stopped)
    with (stopped / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert cli.main(["resume", str(stopped)]) == 2
    assert "another process is training" in capsys.readouterr().err
    assert contents(stopped) == before
    assert cli.main(["resume", str(stopped)]) == 0, "a lock ends with the process that held it"


class Boom:
    """Unpickling this leaves a file behind."""

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return os.mkdir, (str(Path.cwd() / "executed"),)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "words",
    [["resume"], ["eval"], ["sample"], ["report"], ["export", "last.npz"]],
    ids=lambda x: x[0],
)
def test_nothing_in_a_run_is_executed(
    words: list[str], stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither its copy of the experiment, nor a file that its card names, nor a pickle where arrays
    or metadata should be.
    """
    evil = f"import os\nos.mkdir({str(Path.cwd() / 'executed')!r})\n"
    (stopped / "experiment.py").write_text(evil)
    (stopped / "mlp_digits.py").write_text(evil)
    (stopped / "samples").mkdir(exist_ok=True)
    loads = np.array([Boom()], dtype=object)
    for folder in [
        stopped,
        *(
            stopped / place
            for place in ("samples", "checkpoints", "checkpoints/6", "checkpoints/6/default")
        ),
    ]:
        (folder / "state.pkl").write_bytes(pickle.dumps(Boom()))
        np.save(folder / "array.npy", loads, allow_pickle=True)
        np.savez(folder / "arrays.npz", loads)
    for damaged in ("_METADATA", "manifest.ocdbt"):
        (stopped / "checkpoints" / "6" / "default" / damaged).write_bytes(pickle.dumps(Boom()))
    more = [str(stopped), *words[1:]]
    cli.main([words[0], *more])
    cli.main([words[0], *more, *(["--accept-changes"] if words == ["resume"] else [])])
    for file in (stopped / "experiment.py", stopped / "mlp_digits.py"):
        record = card(stopped) | {"file": str(file), "status": "stopped"}
        (stopped / "card.json").write_text(json.dumps(record))
        code = cli.main([words[0], *more])
        assert code == (0 if words == ["report"] else 2)
        assert words == ["report"] or "is not executed" in capsys.readouterr().err
    assert not Path("executed").exists()
