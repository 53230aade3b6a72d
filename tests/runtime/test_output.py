"""Streams that are closed, full or narrow, files that may not grow, endless names: a message and an
exit code, and no work lost.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import jax
import pytest

from dlcore import errors
from dlcore.cli import main as cli
from dlcore.runs import catalog
from tests.child import card, environment, flags_of, run, tiny

WORDS = [*flags_of(tiny("mlp_digits")), "--steps", "12", "--save-every", "5", "--log-every", "1"]
LONG = "a" * 5000


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def full() -> TextIO:
    return open("/dev/full", "w", encoding="utf-8")


def unread() -> TextIO:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


def closed() -> TextIO:
    with open(os.devnull, "w", encoding="utf-8") as file:
        return file


def ascii_only() -> TextIO:
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii")


def missing() -> None:
    """What Python gives where the descriptor is closed."""


needs_full = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="there is no /dev/full on this system"
)
BROKEN = [pytest.param(full, marks=needs_full), unread, closed, missing]


@pytest.mark.slow
@pytest.mark.parametrize(
    "stream",
    [
        closed,
        pytest.param(full, marks=[needs_full, pytest.mark.nightly]),
        *(pytest.param(each, marks=pytest.mark.nightly) for each in (unread, missing)),
    ],
)
def test_a_run_goes_on_where_nobody_reads_it(
    stream: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", stream())
    monkeypatch.setattr(sys, "stderr", stream())
    assert cli.main(["train", "mlp_digits", *WORDS, "--out", "run"]) == 0
    assert card(Path("run"))["status"] == "done"


@pytest.mark.slow
@needs_full
def test_a_run_warns_once_of_a_full_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", full())
    assert cli.main(["train", "mlp_digits", *WORDS, "--out", "run"]) == 0
    assert (
        capsys.readouterr().err.count(
            "warning: standard output cannot be written (No space left on device)"
        )
        == 1
    )


@pytest.mark.quick
@pytest.mark.parametrize(
    ("stream", "code"),
    [pytest.param(full, 2, marks=needs_full), (unread, 141), (closed, 2), (missing, 0)],
)
def test_a_command_whose_result_cannot_be_written(
    stream: Callable[[], Any],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdout", stream())
    assert cli.main(["list"]) == code
    assert ("standard output cannot be written" in capsys.readouterr().err) == (code == 2)


@pytest.mark.quick
@pytest.mark.parametrize("stream", BROKEN)
def test_a_refusal_that_nobody_reads_is_still_one(
    stream: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream())
    assert cli.main(["nonsense"]) == 2


@pytest.mark.quick
def test_characters_that_the_output_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = ascii_only()
    monkeypatch.setattr(sys, "stdout", narrow)
    assert cli.main(["list"]) == 0
    assert b"mlp_digits" in narrow.buffer.getvalue()  # type: ignore[attr-defined]
    assert b"\\xb1" in narrow.buffer.getvalue(), "plus or minus"  # type: ignore[attr-defined]


CLI = [sys.executable, "-m", "dlcore"]


def process(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    environ = environment(**more.pop("env", {}))
    return subprocess.run(
        words, env=environ, stderr=subprocess.PIPE, text=True, timeout=120, check=False, **more
    )


@pytest.mark.quick
def test_the_interpreter_s_last_flush_is_quiet_too() -> None:
    with unread() as gone:
        done = process(*CLI, "list", stdout=gone)
    assert (done.returncode, done.stderr) == (141, "")
    done = process("sh", "-c", 'exec "$@" >&-', "sh", *CLI, "--help")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.quick
def test_a_closed_descriptor_is_not_given_to_the_next_file() -> None:
    """Otherwise what XLA says on descriptor 2 would be written into it."""
    script = "import tempfile; from dlcore.runtime import output\n"
    script += "with output.guarded(): print(open('opened', 'w').fileno(), file=open('n', 'w'))"
    done = process("sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-c", script)
    assert done.returncode == 0
    assert int(Path("n").read_text()) > 2


@pytest.mark.quick
@pytest.mark.parametrize(
    "narrow",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["ascii", "C"],
)
def test_a_narrow_terminal(narrow: dict[str, str]) -> None:
    done = process(*CLI, "list", stdout=subprocess.PIPE, env=narrow)
    assert done.returncode == 0, done.stderr
    assert catalog.names()[-1][:10] in done.stdout


@pytest.mark.quick
@pytest.mark.parametrize(
    "words",
    [
        ["train", LONG],
        ["train", f"{LONG}.py"],
        ["train", "mlp_digits", *WORDS, "--out", LONG],
        ["train", "mlp_digits", *WORDS, "--out", LONG, "--continue-run"],
        ["train", "mlp_digits", *WORDS, "--seeds", "2", "--out", LONG],
        ["resume", LONG],
        ["eval", LONG],
        ["report", LONG],
        ["verify", LONG],
        ["export", LONG, "a.npz"],
        ["sweep", "mlp_digits", "lr=1,2", "--out", LONG],
        ["plan", "mlp_digits", "--topology", LONG],
        ["prepare", LONG],
        [LONG],
    ],
    ids=lambda words: " ".join(word[:12] for word in words if word not in WORDS),
)
def test_a_name_of_five_thousand_characters(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("dlcore: ")
    assert len(said) < 1000
    assert "Traceback" not in said


@pytest.fixture
def limited() -> Iterator[Callable[[int], None]]:
    """Files of this process may not grow beyond so many bytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
@pytest.mark.parametrize(
    "size", [2500, *(pytest.param(n, marks=pytest.mark.nightly) for n in (1000, 4000, 6000))]
)
def test_a_limit_on_the_size_of_files(
    size: int, limited: Callable[[int], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The experiment's copy, the card, or a checkpoint is too large."""
    assert cli.main(["train", "mlp_digits", *WORDS, "--out", "before"]) == 0
    capsys.readouterr()
    limited(size)
    code = cli.main(["train", "mlp_digits", *WORDS, "--out", "run"])
    limited(-1)
    said = capsys.readouterr().err
    assert code == 2, said
    assert "Traceback" not in said
    assert "free disk space" in said
    if Path("run/card.json").exists():
        assert card(Path("run"))["status"] == "stopped"
        # in a process of its own: threads of the first try may still be at it
        code, said = run("resume", "run", folder=tmp_path)
        assert code == 0, said
        assert card(Path("run"))["params_sha256"] == card(Path("before"))["params_sha256"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_a_folder_whose_name_is_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    """`LC_ALL=C` makes one of any name beyond ASCII."""
    assert cli.main(["train", "mlp_digits", *WORDS, "--out", "run\udcff"]) == 2
    said = capsys.readouterr().err
    assert "dlcore: the path of run\\udcff/checkpoints is no UTF-8" in said
    assert "PYTHONUTF8=1" in said
    assert not any(Path().iterdir())


@pytest.mark.quick
def test_a_status_takes_no_room(tmp_path: Path, limited: Callable[[int], None]) -> None:
    """Where a card cannot be written anew, its status can be changed."""
    from dlcore.runs import ending

    message_or_record = {"experiment": "x", "status": "running", "seconds": {}, "about": "a" * 900}
    (tmp_path / "card.json").write_text(json.dumps(message_or_record, indent=2))
    limited(512)
    with (
        pytest.raises(RuntimeError, match="a bug"),
        ending.closing([tmp_path], [message_or_record], "again"),
    ):
        raise RuntimeError("a bug")
    limited(-1)
    assert card(tmp_path) == {
        "experiment": "x",
        "status": "stopped",
        "seconds": {},
        "about": "a" * 900,
    }


@pytest.mark.quick
def test_what_the_system_says_has_a_way_out() -> None:
    for number, way in (
        (28, "free disk space"),
        (13, "grant permission"),
        (36, "choose a shorter name"),
        (2, "name one that exists"),
    ):
        message_or_record = errors.operating_system(OSError(number, os.strerror(number), "place"))
        assert message_or_record.startswith(f"cannot use place: {os.strerror(number)}; {way}")
    assert (
        errors.operating_system(OSError(5, "Input/output error"))
        == "cannot use the disk: Input/output error"
    )
    assert errors.shortened(f"see {LONG}: none") == f"see {'a' * 80}... (5000 characters): none"
