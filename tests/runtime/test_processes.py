"""Who is the coordinator, how many are we, which one am I."""

from __future__ import annotations

from typing import Any

import jax
import pytest
from jax.experimental import multihost_utils

from dlcore.errors import Disrupted, UsageError
from dlcore.runtime import processes
from dlcore.runtime.processes import NAMES, found

pytestmark = pytest.mark.quick
WHOLE = {"DLCORE_COORDINATOR": "host:1234", "DLCORE_PROCESSES": "4", "DLCORE_PROCESS_ID": "3"}


def test_the_environment_of_a_process_is_read() -> None:
    assert found({**WHOLE, "OTHER": "x"}) == ("host:1234", 4, 3)
    assert found({"OTHER": "x"}) is None
    assert found(dict.fromkeys(NAMES, "")) is None  # empty is as good as unset
    assert found({"DLCORE_COORDINATOR": "auto"}) == ("auto", 0, 0)


@pytest.mark.parametrize("missing", NAMES)
def test_half_of_it_is_refused_by_name(missing: str) -> None:
    for half in ({k: v for k, v in WHOLE.items() if k != missing}, {**WHOLE, missing: ""}):
        with pytest.raises(UsageError, match=f"is set but {missing} is not: set all of"):
            found(half)
    with pytest.raises(UsageError, match=f"{missing} is set but "):
        found({missing: WHOLE[missing]})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DLCORE_PROCESSES", "four", "must be whole numbers, not 'four' and '3'"),
        ("DLCORE_PROCESS_ID", "1.5", "must be whole numbers, not '4' and '1.5'"),
        ("DLCORE_PROCESS_ID", "4", "DLCORE_PROCESS_ID=4 must be below DLCORE_PROCESSES=4"),
        ("DLCORE_PROCESS_ID", "-1", "DLCORE_PROCESS_ID=-1 must be below"),
        ("DLCORE_PROCESSES", "0", "must be below DLCORE_PROCESSES=0"),
        ("DLCORE_COORDINATOR", "host", "DLCORE_COORDINATOR='host' must be host:port"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        found({**WHOLE, name: value})


@pytest.mark.parametrize(
    ("address", "normal", "loopback"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("127.8.9.1:80", "127.8.9.1:80", True),
        ("localhost:80", "localhost:80", True),
        ("LOCALHOST.:80", "LOCALHOST.:80", True),
        ("a.localhost:80", "a.localhost:80", True),
        ("[::1]:80", "[::1]:80", True),
        ("::1:80", "[::1]:80", True),
        ("[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:80", True),
        ("[fe80::1]:80", "[fe80::1]:80", False),
        ("128.0.0.1:80", "128.0.0.1:80", False),
        ("0.0.0.0:80", "0.0.0.0:80", False),
        ("node1:80", "node1:80", False),
        ("localhost.example.org:80", "localhost.example.org:80", False),
        ("127.0.0.1.example.org:80", "127.0.0.1.example.org:80", False),
    ],
)
def test_only_this_machine_reaches_a_coordinator_on_loopback(
    address: str, normal: str, loopback: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On any other address it listens for everybody: how JAX is called says which."""
    called: dict[str, object] = {}
    monkeypatch.setattr(
        processes.jax.distributed,
        "initialize",
        lambda *words, **how: called.update(how, words=words),
    )
    assert processes.join(20, {**WHOLE, "DLCORE_COORDINATOR": address})
    assert called["words"] == (normal, 4, 3)
    assert called["coordinator_bind_address"] == (normal if loopback else None)


@pytest.mark.parametrize(
    ("error", "others", "message"),
    [
        (UsageError("no such folder"), UsageError, "^no such folder$"),
        (OSError("disk"), Disrupted, r"the first process has failed \(OSError: disk\)"),
    ],
)
def test_an_error_of_the_first_process_ends_all(
    error: Exception, others: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others would wait for the first one's message until its heartbeat is missed."""
    sent: list[Any] = []

    def act() -> None:
        raise error

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(
        multihost_utils, "broadcast_one_to_all", lambda text: sent.append(text) or sent[0]
    )
    for rank, kind in enumerate((type(error), others)):
        monkeypatch.setattr(jax, "process_index", lambda rank=rank: rank)
        with pytest.raises(kind, match=message if rank else str(error)):
            processes.by_first(act)
