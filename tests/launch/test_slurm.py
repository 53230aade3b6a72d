"""Under a real SLURM: preempted, queued again, resumed, and the same parameters as without it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.command import Refused
from launch.slurm import Request, script
from tests.child import REPOSITORY, card, environment, logged
from tests.launch.cluster import ask, cluster, field, installed

pytestmark = pytest.mark.slow

TRAIN = [
    "train",
    "mlp_digits",
    "--widths",
    "16",
    "--batch",
    "32",
    "--offline",
    "--log-every",
    "10",
    "--save-every",
    "1000",
]
STEPS = 1500


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    if not installed():
        pytest.skip("needs slurmctld, slurmd and slurm-client (Debian's packages)")
    with cluster(tmp_path_factory.mktemp("slurm")) as found:
        yield found


def submit(slurm: dict[str, str], folder: Path, *words: str) -> str:
    command = [
        sys.executable,
        "-m",
        "launch",
        "slurm",
        "--nodes",
        "2",
        "--env",
        f"PYTHONPATH={REPOSITORY}",
        *words,
    ]
    finished = subprocess.run(
        command,
        cwd=folder,
        env=environment(PYTHONPATH=str(REPOSITORY), **slurm),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return re.findall(r"Submitted batch job (\d+)", finished.stdout)[0]


def wait(slurm: dict[str, str], job: str, folder: Path, *states: str) -> None:
    limit = time.monotonic() + 120
    while field(slurm, job, "JobState") not in states:
        assert time.monotonic() < limit, "\n".join(
            path.read_text() for path in folder.glob("*.log")
        )
        time.sleep(0.2)


@pytest.mark.nightly
def test_preempted_requeued_and_resumed_it_equals_an_uninterrupted_run(
    slurm: dict[str, str], tmp_path: Path
) -> None:
    job = submit(slurm, tmp_path, "--", *TRAIN, "--steps", str(STEPS))
    out = tmp_path / "runs" / "mlp-digits" / f"slurm-{job}"
    limit = time.monotonic() + 120
    while not (out.is_dir() and logged(out, "train")):
        assert time.monotonic() < limit, "\n".join(
            path.read_text() for path in tmp_path.glob("*.log")
        )
        time.sleep(0.1)
    ask(slurm, "scancel", "--signal=TERM", job)
    wait(slurm, job, tmp_path, "COMPLETED", "FAILED", "CANCELLED")
    log = next(tmp_path.glob("*.log")).read_text()
    assert field(slurm, job, "JobState") == "COMPLETED", log
    assert field(slurm, job, "Restarts") == "1"
    assert "launch: exit code 75, queued again" in log
    ours = card(out)
    assert (ours["status"], ours["step"], ours["resumed"]) == ("done", STEPS, 1)
    assert ours["devices"]["processes"] == 2

    whole = [
        sys.executable,
        "-m",
        "launch",
        "local",
        "--processes",
        "2",
        "--",
        *TRAIN,
        "--steps",
        str(STEPS),
        "--out",
        "whole",
    ]
    finished = subprocess.run(
        whole,
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(REPOSITORY)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    assert ours["params_sha256"] == card(tmp_path / "whole")["params_sha256"]


def test_bad_input_fails_and_is_not_queued_again(slurm: dict[str, str], tmp_path: Path) -> None:
    job = submit(slurm, tmp_path, "--", *TRAIN, "--steps", "0")
    wait(slurm, job, tmp_path, "FAILED", "COMPLETED")
    assert field(slurm, job, "JobState") == "FAILED"
    assert field(slurm, job, "Restarts") == "0"
    assert "--steps 0 is too small" in next(tmp_path.glob("*.log")).read_text()


@pytest.mark.parametrize(
    "name", ["it's $HOME", "@OUT@", "a\nb", '"runs/my-page/slurm-$SLURM_JOB_ID"', "$(id)"]
)
def test_the_script_passes_words_through_a_shell_unharmed(name: str) -> None:
    text = script(
        ["train", "my page.py", "--name", name],
        Request(nodes=1, environment={"A": "b c"}, python="echo"),
    )
    text = text.replace("a\nb", "a\x01b")  # one line for what follows
    for line in text.splitlines():
        if line.startswith("srun"):
            run = line.partition("bash -c ")[2]
    answer = subprocess.run(
        ["bash", "-c", f"bash -c {run}"],
        env={**os.environ, "SLURM_JOB_ID": "7", "SLURM_PROCID": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    words = f"-m dlcore train my page.py --name {name}".replace("\n", "\x01")
    expected = f"{words} --out runs/my-page/slurm-7 --continue-run"
    assert answer.stdout.strip() == expected


@pytest.mark.parametrize(
    ("command", "request_", "why"),
    [
        (["list"], Request(), "name what to train"),
        (["train", "--steps", "3"], Request(), "name what to train"),
        (["train", "mlp_digits"], Request(nodes=0), "must be at least 1"),
        (["train", "mlp_digits", "--out", "x"], Request(seeds=2), "omit these two"),
        (["train", "mlp_digits"], Request(gpus_per_node=-1), "--gpus-per-node -1 is too small"),
        (["train", "mlp_digits"], Request(cpus_per_task=-1), "--cpus-per-task -1 is too small"),
        (["train", "mlp_digits"], Request(restarts=-1), "--restarts -1 is too small"),
        (["train", "mlp_digits"], Request(seeds=-1), "--seeds -1 is too small"),
        (["train", "mlp_digits"], Request(notice_seconds=0), "--notice-seconds 0 is too small"),
        *(
            (
                ["train", "mlp_digits"],
                Request(**{option: f"{start}{more}"}),
                f"--{option} .* is not valid in SLURM",
            )
            for option, start in (("time", "1:00"), ("partition", "a"), ("account", "a"))
            for more in (
                "\ntouch /tmp/x",
                "\r#SBATCH --wrap=id",
                " --wrap=id",
                "$(id)",
                "'",
                '"',
                "\\",
                "\x85id",
            )
        ),
    ],
)
def test_what_cannot_be_launched_is_refused(
    command: list[str], request_: Request, why: str
) -> None:
    with pytest.raises(Refused, match=why):
        script(command, request_)


@pytest.mark.parametrize("time", ["30", "30:00", "4:00:00", "2-12", "2-12:30:00", "UNLIMITED"])
def test_what_slurm_takes_stands_in_the_script(time: str) -> None:
    lines = script(
        ["train", "mlp_digits"], Request(time=time, partition="gpu_a,gpu-b", account="a.b")
    ).splitlines()
    expected = {
        f"#SBATCH --time={time}",
        "#SBATCH --partition=gpu_a,gpu-b",
        "#SBATCH --account=a.b",
    }
    assert expected <= set(lines)
