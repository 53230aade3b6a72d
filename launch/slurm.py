"""Runs under SLURM: one process for each node, saved and requeued on preemption or timeout."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from launch.command import Refused, at_least, job_name, quoted, restartable

# One process. When it fails, the others are killed, and srun returns the largest exit code: a file
# therefore records bad input.
RANK = (
    'trap : TERM; DLCORE_PROCESS_ID="$SLURM_PROCID" "$@"; code=$?; '
    'if [ "$code" -eq 2 ]; then touch ".refused-$SLURM_JOB_ID"; fi; exit "$code"'
)


# Valid values of #SBATCH lines, where nothing can be quoted, and how to write them.
OPTIONS = {
    "time": (
        r"([0-9]+-)?[0-9]+(:[0-9]+){0,2}|(?i:infinite|unlimited)",
        "write minutes, 4:00:00 or 2-12:00:00",
    ),
    "partition": (r"[\w.,+-]+", "write a name, or several with commas between them"),
    "account": (r"[\w.,+@-]+", "write a name"),
}


@dataclass(frozen=True)
class Request:
    """The requested resources.

    Attributes:
        nodes: their number; one process runs on each.
        gpus_per_node, cpus_per_task: 0: SLURM's default.
        time, partition, account: as of sbatch; "": SLURM's default.
        container: image for srun's --container-image; "": none.
        modules: are loaded first.
        environment: variables of every process.
        seeds: makes an array job with one run for each of so many seeds; 0: a single run.
        notice_seconds: seconds before the time limit at which SIGTERM is sent.
        restarts: how often the job is requeued at most.
        python: the interpreter.
    """

    nodes: int = 1
    gpus_per_node: int = 0
    cpus_per_task: int = 0
    time: str = ""
    partition: str = ""
    account: str = ""
    container: str = ""
    modules: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    seeds: int = 0
    notice_seconds: int = 120
    restarts: int = 100
    python: str = sys.executable


def script(command: Sequence[str], request: Request) -> str:
    """Returns the sbatch script.

    Args:
        command: the command line of dlcore, such as ["train", "mlp_digits"].
        request: the requested resources.

    Raises:
        Refused: the command or a value is invalid.
    """
    _check(command, request)
    name, array = job_name(command), request.seeds > 0
    job = "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}" if array else "$SLURM_JOB_ID"
    lines = ["#!/bin/bash", *_options(name, request), "#SBATCH --requeue", "ulimit -c 0"]
    lines += [f"module load {quoted([module])}" for module in request.modules]
    lines += [f"export {key}={quoted([value])}" for key, value in request.environment.items()]
    container = f" --container-image={quoted([request.container])}" if request.container else ""
    words = _words(command, request, f'"runs/{name}/slurm-{job}"')
    return "\n".join(
        [
            *lines,
            'coordinator=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            'export DLCORE_COORDINATOR="$coordinator:$((20000 + SLURM_JOB_ID % 20000))"',
            'export DLCORE_PROCESSES="$SLURM_NTASKS"',
            # SLURM sends its signal to the step's processes, which save together and exit with 75;
            # this script must not receive it.
            f"srun --kill-on-bad-exit=1{container} bash -c {quoted([RANK])} rank {words}",
            "code=$?",
            'if [ -e ".refused-$SLURM_JOB_ID" ]; then rm ".refused-$SLURM_JOB_ID"; exit 2; fi',
            (
                "# 75: stopped by a signal and saved. 128 and more: a process was killed; the last"
                " checkpoint is valid."
            ),
            (
                'if { [ "$code" -eq 75 ] || [ "$code" -ge 128 ]; } && ['
                f' "${{SLURM_RESTART_COUNT:-0}}" -lt {request.restarts} ]; then'
            ),
            f'  echo "launch: exit code $code, queued again"; scontrol requeue "{job}"; sleep 60',
            "fi",
            'exit "$code"',
            "",
        ]
    )


def _check(command: Sequence[str], request: Request) -> None:
    """Raises Refused where the command or a value is invalid."""
    at_least(1, nodes=request.nodes, notice_seconds=request.notice_seconds)
    at_least(0, gpus_per_node=request.gpus_per_node, cpus_per_task=request.cpus_per_task)
    at_least(0, seeds=request.seeds, restarts=request.restarts)
    for option, (pattern, way) in OPTIONS.items():
        value = getattr(request, option)
        if value and not re.fullmatch(pattern, value, re.ASCII):
            raise Refused(f"--{option} {value!r} is not valid in SLURM: {way}")
    if request.seeds and any(word.split("=")[0] in ("--out", "--seed") for word in command):
        raise Refused("--seeds gives each run its own --seed and --out: omit these two")


def _words(command: Sequence[str], request: Request, out: str) -> str:
    """The command of one process, as a line of the script; `out` is a quoted folder.

    The folder is named by the job, so that a requeued job, which keeps its number, finds it again.
    """
    added = restartable(command, out)[len(command) :]
    added += ["--seed", '"$SLURM_ARRAY_TASK_ID"'] if request.seeds else []
    return " ".join([quoted([request.python, "-m", "dlcore", *command]), *added])


def _options(name: str, request: Request) -> list[str]:
    """The lines of the script that SLURM reads."""
    array = request.seeds > 0
    options = {
        "job-name": name,
        "output": f"{name}-{'%A_%a' if array else '%j'}.log",
        "open-mode": "append",
        "nodes": request.nodes,
        "ntasks-per-node": 1,
        "gpus-per-node": request.gpus_per_node,
        "cpus-per-task": request.cpus_per_task,
        "time": request.time,
        "partition": request.partition,
        "account": request.account,
        "array": f"0-{request.seeds - 1}" if array else "",
        "signal": f"TERM@{request.notice_seconds}",
    }
    return [f"#SBATCH --{option}={value}" for option, value in options.items() if value]


def submit(text: str) -> int:
    """Submits the script by sbatch; returns its exit code. Raises Refused without sbatch."""
    try:
        return subprocess.run(["sbatch"], input=text, text=True, check=False).returncode
    except FileNotFoundError:
        raise Refused(
            "sbatch is not installed: submit from a login node, or print the script with --dry-run"
        ) from None
