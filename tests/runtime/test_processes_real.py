"""Several real processes on loopback: the same run as one process with as many devices; and
checkpoints know no devices.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.child import LIMIT, card, environment, flags_of, logged, run, tiny

pytestmark = pytest.mark.slow

STEPS = ["--steps", "12", "--log-every", "4", "--eval-every", "6", "--save-every", "6"]


def words(name: str, out: Path, *more: str) -> list[Any]:
    return ["train", name, *flags_of(tiny(name)), *STEPS, *more, "--out", out]


def together(
    count: int, arguments: Sequence[Any], folder: Path, stopped: Callable[[], bool] | None = None
) -> list[tuple[int, str]]:
    """Run `dlcore ARGUMENTS` in `count` processes, as a launcher would, asked to stop once
    `stopped` holds: each one's exit code and what it said.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for place in range(count):
        own = {
            "DLCORE_COORDINATOR": f"127.0.0.1:{port}",
            "DLCORE_PROCESSES": str(count),
            "DLCORE_PROCESS_ID": str(place),
        }
        own |= {"NPROC": str(max(len(os.sched_getaffinity(0)), count))}
        command = [sys.executable, "-m", "dlcore", *map(str, arguments)]
        pipe = (folder / f"said-{place}.txt").open("w")
        with pipe:
            started.append(
                subprocess.Popen(
                    command, cwd=folder, env=environment(**own), stdout=pipe, stderr=pipe
                )
            )
    try:
        end = time.monotonic() + LIMIT
        while stopped and not stopped() and time.monotonic() < end:
            time.sleep(0.005)
        assert stopped is None or stopped()
        for process in started if stopped else ():
            process.terminate()
        codes = [process.wait(LIMIT) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(code, (folder / f"said-{place}.txt").read_text()) for place, code in enumerate(codes)]


def alone(devices: int, name: str, folder: Path, *more: str) -> Path:
    """The same run by one process."""
    out = folder / "alone"
    code, said = run(*words(name, out, "--cpu-devices", str(devices), *more), folder=folder)
    assert code == 0, said
    return out


def exported(out: Path, folder: Path) -> dict[str, np.ndarray]:
    """A run's last parameters, read by one process with one device."""
    file = folder / f"{out.name}.npz"
    code, said = run("export", out, file, folder=folder)
    assert code == 0, said
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def same(ours: Path, whole: Path, folder: Path) -> None:
    """The parameters agree within 1e-6 of each array's largest number, and so do the results."""
    if card(ours)["params_sha256"]["end"] != card(whole)["params_sha256"]["end"]:
        got, want = exported(ours, folder), exported(whole, folder)
        assert got.keys() == want.keys()
        for key in want:
            assert np.abs(got[key] - want[key]).max() <= 1e-6 * np.abs(want[key]).max(), key
    assert card(ours)["params_sha256"]["start"] == card(whole)["params_sha256"]["start"]
    for split, metrics in card(whole)["results"].items():
        for metric, number in metrics.items():
            assert card(ours)["results"][split][metric] == pytest.approx(number, rel=1e-5)


@pytest.mark.parametrize(
    ("count", "name", "how"),
    [
        (2, "mlp_digits", "jit"),
        pytest.param(4, "mlp_digits", "jit", marks=pytest.mark.nightly),
        pytest.param(4, "cnn_fashion_mnist", "auto", marks=pytest.mark.nightly),
        pytest.param(2, "mlp_digits", "pmap", marks=pytest.mark.nightly),
        pytest.param(2, "gpt_tiny_shakespeare", "jit", marks=pytest.mark.nightly),
        # its metrics are scored on the host over what all processes have collected
        pytest.param(2, "mlp_table", "jit", marks=pytest.mark.nightly),
    ],
)
def test_processes_train_what_one_process_trains(
    count: int, name: str, how: str, tmp_path: Path
) -> None:
    out = tmp_path / "together"
    ended = together(count, words(name, out, "--parallel", how), tmp_path)
    assert [code for code, _ in ended] == [0] * count, ended
    whole = alone(count, name, tmp_path, "--parallel", how)
    same(out, whole, tmp_path)
    if how == "auto":
        assert card(out)["params_sha256"] == card(whole)["params_sha256"], (
            "to the bit: the devices' terms are added in one order"
        )
    assert card(out)["devices"] | {"kind": ""} == {
        "platform": "cpu",
        "kind": "",
        "count": count,
        "processes": count,
    }
    # Only the first one writes cards, logs and lines about the run.
    places = [(line["step"], line["split"]) for line in logged(out)]
    assert len(places) == len(set(places)) == len(logged(tmp_path / "alone"))
    assert len(list(out.glob("events.out.*"))) == 1
    for place, (_, said) in enumerate(ended):
        assert (f"training {name}" in said) == (place == 0), said
        assert ("step 12/12" in said) == (place == 0), said


@pytest.mark.nightly
@pytest.mark.usefixtures("optimised")
def test_sharded_over_processes(tmp_path: Path) -> None:
    """No process holds the whole state; card, checkpoint and sample still do."""
    out, name = tmp_path / "together", "gpt_tiny_shakespeare"
    ended = together(2, words(name, out, "--mesh", "fsdp=2"), tmp_path)
    assert [code for code, _ in ended] == [0, 0], ended
    same(out, alone(2, name, tmp_path, "--mesh", "fsdp=2"), tmp_path)


@pytest.mark.nightly
def test_processes_that_disagree_are_reported(tmp_path: Path) -> None:
    """A run folder that is taken is said once, by everyone's end, and no process is left
    waiting.
    """
    out = tmp_path / "taken"
    code, said = run(*words("mlp_digits", out), folder=tmp_path)
    assert code == 0, said
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    ended = together(2, words("mlp_digits", out), tmp_path)
    assert [code for code, _ in ended] == [2, 2], ended
    assert "already holds a run" in ended[0][1]
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.nightly
def test_a_checkpoint_of_four_devices_goes_on_with_any_number(tmp_path: Path) -> None:
    name, whole = "mlp_digits", alone(4, "mlp_digits", tmp_path)
    for devices in (1, 2, 8):
        out = tmp_path / str(devices)
        code, said = run(
            *words(name, out, "--cpu-devices", "4", "--mesh", "fsdp=4"), folder=tmp_path
        )
        assert code == 0, said
        assert card(out)["devices"]["count"] == 4
        # As if it had been stopped at its first checkpoint.
        for path in (out / "checkpoints" / "12").rglob("*"):
            if path.is_file():
                path.unlink()
        stopped = card(out) | {"status": "stopped"}
        (out / "card.json").write_text(json.dumps(stopped))
        code, said = run("resume", out, "--cpu-devices", str(devices), "--mesh=", folder=tmp_path)
        assert code == 0, said
        assert card(out)["devices"]["count"] == devices
        same(out, whole, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("of", ["*", "ocdbt.process_1"])
def test_processes_resume_from_one_checkpoint_where_some_cannot_read_the_newest(
    of: str, tmp_path: Path
) -> None:
    name, out = "mlp_digits", tmp_path / "together"
    ended = together(2, words(name, out, "--mesh", "fsdp=2"), tmp_path)
    assert [code for code, _ in ended] == [0, 0], ended
    before = card(out)
    damaged = list((out / "checkpoints" / "12").glob(f"**/{of}/d/*"))
    assert damaged
    for path in damaged:
        path.write_bytes(b"")
    (out / "card.json").write_text(json.dumps(before | {"status": "stopped"}))
    ended = together(2, ["resume", out], tmp_path)
    assert [code for code, _ in ended] == [0, 0], ended
    assert any("cannot be read and is skipped" in said for _, said in ended)
    assert card(out)["params_sha256"] == before["params_sha256"]
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == [
        "12",
        "6",
        "damaged-12",
    ]


@pytest.mark.nightly
def test_a_run_of_four_processes_goes_on_with_one_two_or_eight(tmp_path: Path) -> None:
    """Stopped by SIGTERM, as a cluster does it; which examples a step sees does not depend on how
    many share them.
    """
    name, out, often = (
        "mlp_digits",
        tmp_path / "four",
        ["--log-every", "1", "--eval-every", "1"],
    )  # so that the signal comes in time
    ended = together(
        4, words(name, out, *often), tmp_path, stopped=lambda: bool(logged(out, "train"))
    )
    assert [code for code, _ in ended] == [75] * 4, ended
    reached = card(out)["step"]
    assert 0 < reached < 12
    whole = alone(4, name, tmp_path, *often)
    for count, devices in ((1, 1), (2, 1), (1, 8)):
        ours = tmp_path / f"{count}x{devices}"
        shutil.copytree(out, ours)
        if count > 1:
            ended = together(count, ["resume", ours], tmp_path)
        else:
            ended = [run("resume", ours, "--cpu-devices", str(devices), folder=tmp_path)]
        assert [code for code, _ in ended] == [0] * count, ended
        assert card(ours)["devices"]["count"] == count * devices
        same(ours, whole, tmp_path)
    # by itself one process takes as many devices, and the bits are the same
    code, said = run("resume", out, folder=tmp_path)
    assert code == 0, said
    assert card(out)["devices"] | {"kind": ""} == {
        "platform": "cpu",
        "kind": "",
        "count": 4,
        "processes": 1,
    }
    assert card(out)["params_sha256"] == card(whole)["params_sha256"]
