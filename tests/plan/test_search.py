"""When `--search` stops, by hand: what each way to run needs is made up, nothing is compiled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.plan import roofline, search, topologies
from dlcore.plan.compile import Plan

pytestmark = pytest.mark.quick
EIGHT = topologies.parse("gpu:h100:8")


@dataclasses.dataclass(frozen=True)
class Config:
    batch: int = 32


@dataclasses.dataclass(frozen=True)
class Saving(Config):
    remat: bool = False


@dataclasses.dataclass(frozen=True)
class Built:
    batch: int
    tensor_parallel: tuple[()] = ()


Plans = dict[tuple[str, int, bool | None], tuple[bool, int, float]]


def searched(
    plans: Plans,
    config: Any,
    monkeypatch: pytest.MonkeyPatch,
    say: Callable[[str], None] = lambda line: None,
    most: int = 16,
) -> tuple[list[search.Candidate], list[tuple[str, int, bool | None]]]:
    """What a search finds, and what it tried in this order: `plans` has (fits, GiB, seconds) of
    (fsdp, microbatches, remat). The state takes 9 GiB. More microbatches than `most` are refused.
    """
    tried: list[tuple[str, int, bool | None]] = []

    def plan(built: Any, flags: RunOptions, topology: Any, devices: Any) -> Plan:
        way = (flags.mesh.split(",")[1], flags.microbatches, built.remat)
        tried.append(way)
        if flags.microbatches > most:
            raise UsageError(f"--microbatches {flags.microbatches}: refused")
        fits, needs, seconds = plans[way]
        # what does not fit by its state is not compiled
        step = None if needs == 9 else roofline.Estimate(seconds, 0.0, 0.0, 1.0)
        held, peak = 9 * 2**30, needs * 2**30
        return Plan(EIGHT, {}, 32, flags.microbatches, "f32", 1, held, peak, fits, estimate=step)

    @dataclasses.dataclass(frozen=True)
    class WithRemat(Built):
        remat: bool | None = None

    monkeypatch.setattr(search, "plan", plan)
    found = search.search(
        config,
        lambda c: WithRemat(c.batch, remat=getattr(c, "remat", None)),
        RunOptions(offline=True),
        EIGHT,
        list(range(8)),
        say,
    )
    return found, tried


def test_it_stops_at_the_fewest_microbatches_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: Plans = {
        ("fsdp=1", 1, None): (False, 90, 0.0),
        ("fsdp=1", 2, None): (True, 60, 3.0),
        ("fsdp=8", 1, None): (True, 20, 2.0),
    }
    found, tried = searched(plans, Config(), monkeypatch)
    assert tried == [("fsdp=1", 1, None), ("fsdp=1", 2, None), ("fsdp=8", 1, None)]
    assert [(each.mesh, each.microbatches) for each in found] == [
        ("data=1,fsdp=8,tensor=1", 1),
        ("data=8,fsdp=1,tensor=1", 2),
    ], "the quickest first"


def test_it_stops_where_the_state_alone_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """More microbatches save activations only. The same size by chance, activations included, would
    be another matter.
    """
    plans: Plans = {
        ("fsdp=1", 1, None): (False, 9, 0.0),
        ("fsdp=8", 1, None): (False, 8, 1.0),  # less than the state: no reason to stop
        ("fsdp=8", 2, None): (False, 10, 2.0),
        ("fsdp=8", 4, None): (False, 7, 3.0),
    }
    found, tried = searched(plans, Config(), monkeypatch)
    assert tried == [*plans]
    assert [(each.microbatches, each.plan.needs >> 30) for each in found] == [
        (4, 7),
        (1, 9),
    ], "what needs least first"


def test_microbatches_that_the_step_refuses_are_said_and_not_tried_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plans: Plans = {
        ("fsdp=1", 1, None): (False, 90, 0.0),
        ("fsdp=8", 1, None): (True, 20, 2.0),
    }
    lines: list[str] = []
    found, tried = searched(plans, Config(), monkeypatch, lines.append, most=1)
    assert tried == [("fsdp=1", 1, None), ("fsdp=1", 2, None), ("fsdp=8", 1, None)]
    assert [each.plan.fits for each in found] == [True, False]
    assert lines[1] == "data=8,fsdp=1,tensor=1: --microbatches 2: refused"
    with pytest.raises(UsageError, match="--microbatches 1"):
        searched(plans, Config(), monkeypatch, most=0)


def test_it_tries_rematerialisation_with_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: Plans = {
        ("fsdp=1", 1, False): (False, 90, 0.0),
        ("fsdp=1", 2, False): (True, 70, 5.0),
        ("fsdp=1", 1, True): (True, 60, 4.0),
        ("fsdp=8", 1, False): (True, 30, 2.0),
        ("fsdp=8", 1, True): (True, 20, 3.0),
    }
    found, tried = searched(plans, Saving(), monkeypatch)
    assert tried == [*plans]
    assert [(each.mesh.split(",")[1], each.microbatches, each.remat) for each in found] == [
        ("fsdp=8", 1, False),
        ("fsdp=1", 1, True),
    ]


def test_a_way_that_fits_comes_before_one_that_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: Plans = {
        ("fsdp=1", 1, None): (False, 9, 0.0),
        ("fsdp=8", 1, None): (True, 79, 100.0),
    }
    found, _ = searched(plans, Config(), monkeypatch)
    assert [each.plan.fits for each in found] == [True, False]
    assert search.describe(found[0]).endswith("79.00 GiB a device: fits")
    assert (
        search.describe(found[1])
        == "data=8,fsdp=1,tensor=1 microbatches=1: 9.00 GiB a device: does not fit"
    )
