"""Several processes of one run on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO

from dlcore.runtime import signals
from dlcore.runtime.cores import available

GRACE_SECONDS = 10.0


def launch(command: Sequence[str], processes: int, devices: int) -> int:
    """Runs `dlcore command` in several processes that communicate over loopback.

    When one process fails, the others are asked to stop, and killed after a grace period. SIGTERM,
    SIGHUP and Ctrl-C are forwarded to all.

    Args:
        command: the command line of dlcore.
        processes: the number of processes.
        devices: the number of simulated CPU devices of each.

    Returns:
        The exit code of the first process that failed, otherwise 0.
    """
    ranks = [
        _start(command, rank, processes, devices, port)
        for port in [_free_port()]
        for rank in range(processes)
    ]
    readers = [
        threading.Thread(target=_relay, args=(rank, child.stdout), daemon=True)
        for rank, child in enumerate(ranks)
    ]
    for reader in readers:
        reader.start()

    def pass_on(number: int, frame: object) -> None:
        for child in ranks:
            if child.poll() is None:
                child.send_signal(number)

    with signals.handled(pass_on):
        try:
            return _wait(ranks)
        finally:
            _end(ranks)
            for reader in readers:
                reader.join(timeout=5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(
    command: Sequence[str], rank: int, processes: int, devices: int, port: int
) -> subprocess.Popen[str]:
    environment = {
        # The number of XLA's threads decides how it splits a product: with as many as a single
        # process with all these devices has, the results have the same bits.
        "NPROC": str(max(available(), processes * devices)),
        **os.environ,
        "DLCORE_COORDINATOR": f"127.0.0.1:{port}",
        "DLCORE_PROCESSES": str(processes),
        "DLCORE_PROCESS_ID": str(rank),
        "JAX_NUM_CPU_DEVICES": str(devices),
        "PYTHONUNBUFFERED": "1",
    }
    # A session of its own: a Ctrl-C at the terminal reaches the ranks once, through the launcher.
    return subprocess.Popen(
        [sys.executable, "-m", "dlcore", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _relay(rank: int, lines: IO[str] | None) -> None:
    for line in lines or ():
        print(f"[{rank}] {line}", end="", flush=True)


def _wait(ranks: Sequence[subprocess.Popen[str]]) -> int:
    """The first exit code that is not 0, as soon as there is one; 0 when all have finished."""
    while True:
        codes = [child.poll() for child in ranks]
        # Processes that were killed come before those that ended because of it.
        for rank, code in sorted(enumerate(codes), key=lambda each: each[1] or 0):
            if code:
                outcome = (
                    f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
                )
                print(
                    f"launch: rank {rank} {outcome}; ending the others", file=sys.stderr, flush=True
                )
                return 128 - code if code < 0 else code
        if all(code == 0 for code in codes):
            return 0
        time.sleep(0.05)


def _end(ranks: Sequence[subprocess.Popen[str]]) -> None:
    """Lets running processes save and stop, and kills those that do not."""
    for child in ranks:
        if child.poll() is None:
            child.terminate()
    limit = time.monotonic() + GRACE_SECONDS
    for child in ranks:
        try:
            child.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
