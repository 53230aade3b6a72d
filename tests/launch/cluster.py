"""Starts a real SLURM cluster on loopback, as child processes, without root or system services."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DAEMONS = ("slurmctld", "slurmd")
SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def installed() -> bool:
    """Returns whether SLURM's daemons and commands are installed."""
    return all(shutil.which(name, path=SEARCH) for name in (*DAEMONS, "sbatch", "srun", "scontrol"))


def free_ports(count: int) -> list[int]:
    """Returns distinct TCP ports that are free now."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def configuration(folder: Path, nodes: int) -> str:
    """Returns the text of slurm.conf; all daemons listen on loopback alone.

    Nodes are named by addresses, so that the name of the first one resolves.
    """
    control, *ports = free_ports(1 + nodes)
    host, user = socket.gethostname(), getpass.getuser()
    lines = [
        f"ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={control}\nSlurmUser={user}\nSlurmdUser={user}",
        f"SlurmctldPidFile={folder}/ctld.pid\nSlurmdPidFile={folder}/d.%n.pid\nSlurmdSpoolDir={folder}/spool.%n",
        f"StateSaveLocation={folder}/state\nSlurmctldLogFile={folder}/ctld.log\nSlurmdLogFile={folder}/d.%n.log",
        # A requeued job waits for cred_expire: 5 seconds is the least that is allowed.
        "AuthType=auth/none\nCredType=cred/none\nAuthInfo=cred_expire=5",
        "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none",
        "JobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\nMpiDefault=none",
        "SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\nSchedulerType=sched/backfill",
        "SchedulerParameters=bf_interval=1,sched_interval=2,sched_min_interval=100000\nSlurmdParameters=config_overrides",
        "ReturnToService=2\nKillWait=15\nMinJobAge=600\nJobRequeue=1\nPropagateResourceLimits=NONE",
    ]
    for number, port in enumerate(ports, start=1):
        node = f"NodeName=127.0.0.{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}"
        lines.append(f"{node} CPUs=8 RealMemory=1000 State=UNKNOWN")
    lines.append(
        f"PartitionName=main Nodes=127.0.0.[1-{nodes}] Default=YES MaxTime=INFINITE State=UP\n"
    )
    return "\n".join(lines)


@contextmanager
def cluster(folder: Path, nodes: int = 2) -> Iterator[dict[str, str]]:
    """Runs a cluster in the block.

    Args:
        folder: of its configuration, state and logs.
        nodes: their number.

    Yields:
        Environment variables with which SLURM's commands reach the cluster.

    Raises:
        RuntimeError: a daemon ended, or the nodes were not idle within 30 s; has the logs.
    """
    for name in ("state", *(f"spool.127.0.0.{number}" for number in range(1, nodes + 1))):
        (folder / name).mkdir(parents=True)
    conf = folder / "slurm.conf"
    conf.write_text(configuration(folder, nodes))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    environment = {"PATH": SEARCH, "SLURM_CONF": str(conf)}
    command = [["slurmctld", "-D", "-c", "-f", str(conf)]]
    command += [
        ["slurmd", "-D", "-f", str(conf), "-N", f"127.0.0.{number}"]
        for number in range(1, nodes + 1)
    ]
    daemons = []
    try:
        for words in command:
            words[0] = shutil.which(words[0], path=SEARCH) or words[0]
            with (folder / "daemons.log").open("a") as log:
                daemons.append(
                    subprocess.Popen(
                        words, stdout=log, stderr=log, env={**os.environ, **environment}
                    )
                )
        limit = time.monotonic() + 30
        while ask(environment, "sinfo", "-h", "-o", "%D %t") != f"{nodes} idle":
            if time.monotonic() > limit or any(daemon.poll() is not None for daemon in daemons):
                raise RuntimeError(
                    "\n".join(path.read_text() for path in sorted(folder.glob("*.log")))
                )
            time.sleep(0.1)
        yield environment
    finally:
        for daemon in daemons:
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def ask(environment: dict[str, str], *words: str) -> str:
    """Runs one of SLURM's commands; returns its standard output, stripped."""
    answer = subprocess.run(
        words,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return answer.stdout.strip()


def field(environment: dict[str, str], job: str, name: str) -> str:
    """Returns a field of `scontrol show job`; "" where it is missing."""
    fields = ask(environment, "scontrol", "show", "job", job).split()
    return next((word.partition("=")[2] for word in fields if word.startswith(f"{name}=")), "")
