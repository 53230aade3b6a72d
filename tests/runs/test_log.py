"""What a run tells: lines that can be read, TensorBoard events, and a rewind that forgets what will
be trained again.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from dlcore.runs.log import Log, duration, loss_at, records, rewind

pytestmark = pytest.mark.quick


def lines(folder: Path) -> list[dict]:
    """metrics.jsonl."""
    text = (folder / "metrics.jsonl").read_text()
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def events(folder: Path) -> Iterator[tuple[str, int, float]]:
    """(name, step, value) of every scalar: a record is its length, a checksum, the message, another
    checksum.
    """
    for path in sorted(folder.glob("events.out.*")):
        raw = path.read_bytes()
        while raw:
            (size,) = struct.unpack("<Q", raw[:8])
            event = Event.FromString(raw[12 : 12 + size])
            raw = raw[16 + size :]
            yield from ((v.tag, event.step, v.simple_value) for v in event.summary.value)


def test_the_losses_at_a_step_are_the_last_ones_logged(tmp_path: Path) -> None:
    assert loss_at(tmp_path, 5) == ""
    lines = [
        {"step": 2, "split": "train", "a/loss": 1.0, "b/loss": 2.0, "a/grad_norm": 9.0},
        {"step": 4, "split": "train", "a/loss": 3e31, "b/loss": None},
        {"step": 4, "split": "validation", "a/loss": 7.0},
        {"step": 6, "split": "train", "a/loss": 8.0},
    ]
    (tmp_path / "metrics.jsonl").write_text(
        "\n".join([*map(json.dumps, lines[:3]), "cut {", json.dumps(lines[3])])
    )
    assert loss_at(tmp_path, 3) == ", where a/loss was 1 and b/loss was 2,"
    assert loss_at(tmp_path, 5) == ", where a/loss was 3e+31,"
    assert loss_at(tmp_path, 1) == ""


def test_lines_and_events_say_the_same(tmp_path: Path) -> None:
    log = Log(tmp_path, steps=10, start=0)
    log.train(5, {"net/loss": 0.5, "net/grad_norm": 2.0}, rate=100.0)
    log.write(5, "validation", {"loss": 0.25})
    log.close()
    assert lines(tmp_path) == [
        {
            "step": 5,
            "split": "train",
            "net/loss": 0.5,
            "net/grad_norm": 2.0,
            "examples_per_second": 100.0,
        },
        {"step": 5, "split": "validation", "loss": 0.25},
    ]
    assert set(events(tmp_path)) == {
        ("train/net/loss", 5, 0.5),
        ("train/net/grad_norm", 5, 2.0),
        ("train/examples_per_second", 5, 100.0),
        ("validation/loss", 5, 0.25),
    }


def test_what_is_not_a_number_becomes_null(tmp_path: Path) -> None:
    log = Log(tmp_path, steps=10, start=0)
    log.write(1, "train", {"a": float("nan"), "b": float("inf"), "c": float("-inf"), "d": 1.0})
    log.close()
    assert lines(tmp_path) == [
        {"step": 1, "split": "train", "a": None, "b": None, "c": None, "d": 1.0}
    ]
    assert np.isnan({name: value for name, _, value in events(tmp_path)}["train/a"])


def test_a_line_is_on_disk_before_the_log_is_closed(tmp_path: Path) -> None:
    log = Log(tmp_path, steps=10, start=0)
    log.write(1, "train", {"a": 1.0})
    assert len(lines(tmp_path)) == 1
    log.close()


def test_progress_names_step_metrics_and_speed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log(tmp_path, steps=10, start=0)
    log.train(5, {"net/loss": 0.5, "net/grad_norm": 2.0}, rate=1234.0)
    log.best("validation/loss", 0.25, 5)
    log.train(6, {"net/loss": 0.5}, rate=1234.0)
    log.say("[not] markup")
    log.close()
    printed = capsys.readouterr().err
    assert "step 5/10  net/loss 0.5  1,234 examples/s  0 s left\n" in printed
    assert (
        "step 6/10  net/loss 0.5  1,234 examples/s  0 s left  best validation/loss 0.25 at step 5\n"
        in printed
    )
    assert "grad_norm" not in printed
    assert "[not] markup" in printed


def test_a_terminal_has_one_line_of_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "130"}.items():
        monkeypatch.setenv(name, value)
    log = Log(tmp_path, steps=5000, start=0)
    log.best("validation/accuracy", 0.75, 400)
    log.train(500, {"net/loss": 0.5, "net/grad_norm": 2.0}, rate=1234.0)
    log.tick(550)
    log.close()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    *_, last = [line for line in shown.replace("\r", "\n").split("\n") if line.strip()]
    bar, _, line = last.partition("net/loss")
    assert bar.startswith("step 550/5000 ")
    assert line.startswith(" 0.5  1,234 examples/s  0 s left  best validation/accuracy 0.75 at")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (125, "2:05 min"), (11240, "3:07 h")],
)
def test_a_duration_is_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_inactive_log_writes_and_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log(tmp_path, steps=10, start=0, active=False)
    log.train(1, {"a": 1.0}, 1.0)
    log.write(1, "test", {"a": 1.0})
    log.tick(1)
    log.say("a word")
    log.close()
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr() == ("", "")


def test_rewind_drops_later_lines_and_half_ones_and_the_log_goes_on(tmp_path: Path) -> None:
    log = Log(tmp_path, steps=10, start=0)
    for step in (2, 4, 6):
        log.write(step, "train", {"a": step})
    log.write(4, "validation", {"a": 4.5})
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "split": "tr')
    rewind(tmp_path, 4)
    assert [(line["step"], line["split"]) for line in lines(tmp_path)] == [
        (2, "train"),
        (4, "train"),
        (4, "validation"),
    ]
    log = Log(tmp_path, steps=10, start=4)
    log.write(6, "train", {"a": 6.0})
    log.close()
    assert [line["step"] for line in lines(tmp_path)] == [2, 4, 4, 6]
    assert {p.name for p in tmp_path.iterdir() if not p.name.startswith("events")} == {
        "metrics.jsonl"
    }


def test_rewind_of_nothing_makes_no_file(tmp_path: Path) -> None:
    rewind(tmp_path, 3)
    assert not list(tmp_path.iterdir())


DAMAGED = (
    b"\xff\xfe\x00",
    b"5",
    b"[]",
    b'{"split": "train"}',
    b'{"step": "4"}',
    b'{"step": 4',
    b"[" * 10_000,
)


def test_rewind_survives_whatever_bytes_stand_in_the_files(tmp_path: Path) -> None:
    """One byte that is not UTF-8, and what else a bad disk leaves: the line is dropped, the others
    stay as they are.
    """
    for name, more in (
        ("metrics.jsonl", '"split": "train"'),
        ("diagnostics.jsonl", '"objective": "net", "tensors": []'),
    ):
        sound = [f'{{"step": {step}, {more}, "a": 1e-07}}'.encode() for step in (2, 4, 6)]
        broken = [sound[0][:-3] + b"\xff" + sound[0][-3:], *DAMAGED]
        (tmp_path / name).write_bytes(b"\n".join([sound[0], *broken, *sound[1:]]) + b"\n")
        assert [step for step, _ in records(tmp_path / name)] == [2, 4, 6]
    assert rewind(tmp_path, 4) == set()
    for name in ("metrics.jsonl", "diagnostics.jsonl"):
        assert [
            json.loads(line)["step"] for line in (tmp_path / name).read_bytes().splitlines()
        ] == [2, 4]
    assert (
        (tmp_path / "metrics.jsonl").read_bytes()
        == b'{"step": 2, "split": "train", "a": 1e-07}\n{"step": 4, "split": "train", "a": 1e-07}\n'
    )


def test_rewind_of_a_run_that_has_ended_drops_what_is_measured_at_the_end(tmp_path: Path) -> None:
    lines_ = [
        (5, "train"),
        (5, "validation"),
        (10, "train"),
        (10, "validation"),
        (5, "test"),
        (10, "validation"),
        (5, "validation"),
    ]
    (tmp_path / "metrics.jsonl").write_text(
        "".join(f'{{"step": {s}, "split": "{n}", "i": {i}}}\n' for i, (s, n) in enumerate(lines_))
    )
    (tmp_path / "diagnostics.jsonl").write_text("".join(f'{{"step": {s}}}\n' for s in (5, 10)))
    for _ in range(2):  # whatever comes in between, the second time drops nothing more
        assert rewind(tmp_path, 10, ended=True) == {"validation"}
        assert [line["i"] for line in lines(tmp_path)] == [0, 1, 2, 3]
        assert [
            json.loads(line) for line in (tmp_path / "diagnostics.jsonl").read_text().splitlines()
        ] == [{"step": 5}]
    assert rewind(tmp_path, 5) == set()
    assert [line["i"] for line in lines(tmp_path)] == [0, 1]
