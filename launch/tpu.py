"""Runs on a Cloud TPU slice: the commands that create it and train on it. Not tested on a slice."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from launch.command import Refused, job_name, quoted, restartable


@dataclass(frozen=True)
class Request:
    """The requested slice.

    Attributes:
        accelerator: such as v5litepod-16.
        zone, project: of Google Cloud; "": gcloud's default project.
        version: of the runtime.
        name: of the slice; "": that of the experiment.
        queued: request it by a queued resource.
        spot: request a spot slice.
        folder: absolute path that every worker sees, for the run.
        install: command that installs dlcore on a worker.
        environment: variables of every process.
    """

    accelerator: str
    zone: str
    project: str = ""
    version: str = "v2-alpha-tpuv5-lite"
    name: str = ""
    queued: bool = False
    spot: bool = False
    folder: str = ""
    install: str = "pip install 'dlcore[tpu]'"
    environment: Mapping[str, str] = field(default_factory=dict)


def commands(command: Sequence[str], request: Request) -> list[list[str]]:
    """Returns the commands that create the slice, install dlcore, and train on every worker.

    Args:
        command: the command line of dlcore, such as ["train", "mlp_digits"].
        request: the requested slice.

    Raises:
        Refused: the command or a value is invalid.
    """
    _check(request)
    name = request.name or job_name(command)
    where = [f"--zone={request.zone}"]
    where += [f"--project={request.project}"] if request.project else []
    words = ["python3", "-m", "dlcore"]
    words += restartable(command, f"{request.folder.rstrip('/')}/{name}")
    # JAX finds coordinator, count and rank from the slice's own metadata.
    environment = {"DLCORE_COORDINATOR": "auto", **request.environment}
    settings = quoted([f"{key}={value}" for key, value in environment.items()])
    tpu = ["gcloud", "compute", "tpus"]
    on_all = [*tpu, "tpu-vm", "ssh", name, *where, "--worker=all"]
    return [
        [*tpu, *_create(name, where, request)],
        [*on_all, f"--command={request.install}"],
        [*on_all, f"--command=env {settings} {quoted(words)}"],
    ]


def _check(request: Request) -> None:
    """Raises Refused where a value is invalid."""
    if not request.folder.startswith("/"):
        raise Refused(
            "--folder must be a path that every worker sees (a mounted bucket or disk): checkpoints"
            " are shared"
        )
    for each in ("accelerator", "zone", "project", "version", "name"):
        if not getattr(request, each).isprintable():
            raise Refused(
                f"--{each} {getattr(request, each)!r} is not valid in gcloud: omit line ends"
                " and other control characters"
            )


def _create(name: str, where: Sequence[str], request: Request) -> list[str]:
    """The words, after `gcloud compute tpus`, that create a slice or queue for one."""
    kind = f"--accelerator-type={request.accelerator}"
    spot = ["--spot"] if request.spot else []
    if request.queued:
        words = ["queued-resources", "create", name, f"--node-id={name}", *where, kind]
        return [*words, f"--runtime-version={request.version}", *spot]
    return ["tpu-vm", "create", name, *where, kind, f"--version={request.version}", *spot]


def script(command: Sequence[str], request: Request) -> str:
    """Returns the commands as a shell script; arguments and errors as of `commands`."""
    lines = [quoted(each) for each in commands(command, request)]
    state = lines[0].replace(" create ", " describe ", 1).partition(" --node-id")[0]
    waits = [f"# wait until it is ACTIVE: {state}"] if request.queued else []
    return "\n".join(["#!/bin/sh", "set -e", lines[0], *waits, *lines[1:], ""])


def submit(written: str) -> int:
    """Runs the script on this machine; returns its exit code."""
    return subprocess.run(["sh", "-s"], input=written, text=True, check=False).returncode
