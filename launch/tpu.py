"""Runs on a Cloud TPU slice: the commands that create it and train on it. Not tested on a slice."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from launch.command import Refused, job_name, quoted, restartable


@dataclass(frozen=True)
class Request:
    """A slice: `accelerator` such as v5litepod-16; `queued` uses a queued resource."""

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
    """The commands to create the slice, install, and train on every worker."""
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
    name = request.name or job_name(command)
    where = [
        f"--zone={request.zone}",
        *([f"--project={request.project}"] if request.project else []),
    ]
    words = [
        "python3",
        "-m",
        "dlcore",
        *restartable(command, f"{request.folder.rstrip('/')}/{name}"),
    ]
    # JAX finds coordinator, count and rank from the slice's own metadata.
    settings = quoted(
        [
            f"{key}={value}"
            for key, value in {"DLCORE_COORDINATOR": "auto", **request.environment}.items()
        ]
    )
    kind = [f"--accelerator-type={request.accelerator}"]
    if request.queued:
        make = [
            "gcloud",
            "compute",
            "tpus",
            "queued-resources",
            "create",
            name,
            f"--node-id={name}",
            *where,
            *kind,
        ]
        make += [f"--runtime-version={request.version}", *(["--spot"] if request.spot else [])]
    else:
        make = [
            "gcloud",
            "compute",
            "tpus",
            "tpu-vm",
            "create",
            name,
            *where,
            *kind,
            f"--version={request.version}",
        ]
        make += ["--spot"] if request.spot else []
    on_all = ["gcloud", "compute", "tpus", "tpu-vm", "ssh", name, *where, "--worker=all"]
    return [
        make,
        [*on_all, f"--command={request.install}"],
        [*on_all, f"--command=env {settings} {quoted(words)}"],
    ]


def script(command: Sequence[str], request: Request) -> str:
    """The commands as a shell script."""
    lines = [quoted(each) for each in commands(command, request)]
    state = lines[0].replace(" create ", " describe ", 1).partition(" --node-id")[0]
    waits = [f"# wait until it is ACTIVE: {state}"] if request.queued else []
    return "\n".join(["#!/bin/sh", "set -e", lines[0], *waits, *lines[1:], ""])


def submit(written: str) -> int:
    """Runs the script; its exit code."""
    return subprocess.run(["sh", "-s"], input=written, text=True, check=False).returncode
