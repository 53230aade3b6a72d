"""Several processes of one run: their coordinator, their number, and the rank of this one."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import jax
import numpy as np

from dlcore.errors import Disrupted, UsageError

NAMES = ("DLCORE_COORDINATOR", "DLCORE_PROCESSES", "DLCORE_PROCESS_ID")
AUTO = "auto"  # as the coordinator: JAX finds all three itself, as on a TPU slice
WAIT_SECONDS = 1800  # timeout of a barrier: another process may be decoding its data
SHUTDOWN_SECONDS = 300
# Messages of Gloo, NCCL and JAX's coordination service about a lost process.
_GONE = re.compile(
    r"Gloo|NCCL|heartbeat|[Cc]oordination|[Bb]arrier|UNAVAILABLE|DEADLINE_EXCEEDED|Connection"
    r" (reset|closed|refused)"
)


def found(environment: Mapping[str, str]) -> tuple[str, int, int] | None:
    """Reads the coordinator's address, the number of processes and the rank from the environment.

    Args:
        environment: the environment variables, of which `NAMES` are read: DLCORE_COORDINATOR
            (host:port), DLCORE_PROCESSES and DLCORE_PROCESS_ID. An empty value counts as not set.

    Returns:
        (coordinator address, number of processes, rank from 0 on); None where none of the three is
        set: a run of one process; (AUTO, 0, 0) where DLCORE_COORDINATOR is "auto" and the other two
        are not set.

    Raises:
        UsageError: some of the three are missing, the address has no port, the other two are not
            integers, or the rank is not from 0 to the number of processes minus 1.
    """
    given = {name: environment[name] for name in NAMES if environment.get(name)}
    if given == {NAMES[0]: AUTO}:
        return AUTO, 0, 0
    if not given:
        return None
    if len(given) < len(NAMES):
        missing = ", ".join(name for name in NAMES if name not in given)
        raise UsageError(
            f"{', '.join(given)} is set but {missing} is not: set all of {', '.join(NAMES)}, or"
            " none for one process"
        )
    try:
        address, count, process = given[NAMES[0]], int(given[NAMES[1]]), int(given[NAMES[2]])
    except ValueError:
        raise UsageError(
            f"{NAMES[1]} and {NAMES[2]} must be whole numbers, not {given[NAMES[1]]!r} and"
            f" {given[NAMES[2]]!r}"
        ) from None
    if not 0 <= process < count or ":" not in address:
        raise UsageError(
            f"{NAMES[2]}={process} must be below {NAMES[1]}={count}, and {NAMES[0]}={address!r}"
            " must be host:port"
        )
    return address, count, process


def join(heartbeat_seconds: int, environment: Mapping[str, str] | None = None) -> bool:
    """Connects to the other processes that the environment names.

    Args:
        heartbeat_seconds: a process without heartbeat for this time counts as dead, and ends
            the others.
        environment: the environment variables, see `found`; None: those of this process.

    Returns:
        Whether the environment names processes; where DLCORE_COORDINATOR is "auto", whether JAX has
        found more than one. Where none is named, nothing is connected.

    Raises:
        UsageError: `found` rejects the environment.
    """
    place = found(os.environ if environment is None else environment)
    if place is None:
        return False
    address, count, process = place
    if address == AUTO:
        jax.distributed.initialize(
            heartbeat_timeout_seconds=heartbeat_seconds, shutdown_timeout_seconds=SHUTDOWN_SECONDS
        )
        return jax.process_count() > 1
    address, loopback = normal(address)
    jax.distributed.initialize(
        address,
        count,
        process,
        # The coordinator listens on every address unless it is given one; a local run must not.
        coordinator_bind_address=address if loopback else None,
        cluster_detection_method="deactivate",
        heartbeat_timeout_seconds=heartbeat_seconds,
        shutdown_timeout_seconds=SHUTDOWN_SECONDS,
    )
    return True


def normal(address: str) -> tuple[str, bool]:
    """Returns an address in the form that gRPC takes, and whether it is a loopback address.

    Only `localhost` and names that end in `.localhost` count as loopback names: /etc/hosts may map
    a machine's own name to 127.0.1.1 although other machines reach it by the network.

    Args:
        address: host:port.

    Returns:
        (host:port, with brackets around an IPv6 address; whether it is loopback).
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        name = host.lower().rstrip(".")
        return f"{host}:{port}", name == "localhost" or name.endswith(".localhost")
    inner = getattr(number, "ipv4_mapped", None) or number
    return f"[{host}]:{port}" if number.version == 6 else f"{host}:{port}", inner.is_loopback


def first() -> bool:
    """Returns whether this is the process that writes cards, logs and samples."""
    return jax.process_index() == 0


def barrier(name: str, seconds: int = WAIT_SECONDS) -> None:
    """Waits until every process has reached this barrier; a single process does not wait.

    A process that dies meanwhile ends the others by its missing heartbeat.

    Args:
        name: of the barrier, for the message.
        seconds: to wait at most.

    Raises:
        Disrupted: a process is missing after `seconds`.
    """
    if jax.process_count() == 1:
        return
    from jax._src import distributed  # JAX's public barrier has no timeout

    client = distributed.global_state.client
    assert client
    try:
        client.wait_at_barrier(f"dlcore: {name}", 1000 * seconds)
    except jax.errors.JaxRuntimeError as error:
        missing = re.findall(r"^\d+$", str(error), re.MULTILINE)
        who = f"process {', '.join(missing)}" if missing else "another process"
        raise Disrupted(
            f"{who} did not reach the barrier {name!r} in {seconds} s: see its output"
        ) from error


@contextmanager
def together(way_on: str) -> Iterator[None]:
    """Raises Disrupted in place of JAX's errors on a lost process in the block.

    Args:
        way_on: the command that continues the run.

    Raises:
        Disrupted: another process is gone.
    """
    try:
        yield
    except (
        jax.errors.JaxRuntimeError,
        ValueError,
    ) as error:  # under jit the first becomes the second
        if jax.process_count() == 1 or not _GONE.search(str(error)):
            raise
        first_line = str(error).splitlines()[0]
        raise Disrupted(
            f"another process of this run has died or cannot be reached ({first_line}); {way_on}"
        ) from error


def by_first(act: Callable[[], None]) -> None:
    """Calls `act` in the first process; the others wait, and all raise its UsageError.

    Raises:
        UsageError: of `act`.
        Disrupted: in the other processes, where `act` has raised another error, which the first
            process raises itself.
    """
    message, failure = "", None
    if first():
        try:
            act()
        except Exception as error:
            failure, message = error, f"!{type(error).__name__}: {error}"
            if isinstance(error, UsageError):
                message = f"={error}"
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        text = np.frombuffer(message.encode(errors="replace")[:4096].ljust(4096, b"\0"), np.uint8)
        message = (
            bytes(np.asarray(multihost_utils.broadcast_one_to_all(text)))
            .rstrip(b"\0")
            .decode(errors="ignore")
        )
    if failure:
        raise failure
    if message[:1] == "!":
        raise Disrupted(f"the first process has failed ({message[1:]}): see its output")
    if message:
        raise UsageError(message[1:])


def agreed(value: int) -> int:
    """Returns the integer or truth value of the first process; all processes must call it."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return int(multihost_utils.broadcast_one_to_all(np.asarray(int(value))))


def agreed_list(values: Sequence[int]) -> list[int]:
    """Returns the first process's numbers, each below 2^31, in all processes."""
    if jax.process_count() == 1:
        return list(values)
    from jax.experimental import multihost_utils

    mine = np.zeros(agreed(len(values)), np.int32)
    if first():
        mine[:] = values
    return np.asarray(multihost_utils.broadcast_one_to_all(mine)).tolist()


def by_all(value: bool) -> bool:
    """Returns whether a truth value is true in every process; all of them must call it."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return bool(np.all(multihost_utils.process_allgather(np.asarray(value))))


def stop_requested(step: int, received: Sequence[int]) -> bool:
    """Returns whether any process has received a signal; True in all of them at the same step.

    All processes must call it after each step.

    Args:
        step: number of steps taken.
        received: the signals that this process has received; read only where it is the only
            process, as JAX's own handler of SIGTERM decides for several.
    """
    if jax.process_count() == 1:
        return bool(received)
    from jax.experimental import multihost_utils

    return bool(multihost_utils.reached_preemption_sync_point(step))


def leave(code: int) -> int:
    """Returns the exit code; with several processes exits at once, as JAX might hang."""
    # jax.process_count() would initialise devices, which may not be needed
    from jax._src import distributed

    if (distributed.global_state.num_processes or 1) > 1:
        os._exit(code)
    return code
