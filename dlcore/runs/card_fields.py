"""The entries of card.json, as this version of dlcore writes them.

All of them are optional for a type checker: a card that is read from a file may lack some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict

from dlcore.files import Json

Results = Mapping[str, Mapping[str, float]]  # {split: {metric: value}}


class Git(TypedDict):
    """The repository of the experiment file; None where it is in none."""

    commit: str | None
    clean: bool | None


class Host(TypedDict):
    """The computer of the first process."""

    cpu: str
    cores: int
    system: str


class Devices(TypedDict):
    """The devices of JAX, over all processes."""

    platform: str
    kind: str
    count: int
    processes: int


class Machine(TypedDict):
    """The entries on what a run was computed on."""

    host: Host
    devices: Devices
    xla_flags: str


class Hash(TypedDict):
    """The SHA-256 of the parameters at a step, and their L2 norm."""

    sha256: str
    norm: NotRequired[float]


class EndHashes(TypedDict):
    """The SHA-256 of the parameters at the first and the last step; None: not there yet."""

    start: str | None
    end: str | None


class Data(TypedDict):
    """Which data a split has (`dlcore.data.source.Info`)."""

    name: str
    version: str
    split: str
    fingerprint: str
    examples: int


class DeclaredMetric(TypedDict):
    """What an experiment declares of a metric (`dlcore.metrics.known.Metric`)."""

    better: Literal["higher", "lower"] | None
    unit: str


class PublishedResult(TypedDict):
    """A published result (`dlcore.train.Published`)."""

    metric: str
    value: float
    source: str
    better: str
    split: str


class DataEntries(TypedDict):
    """The entries on data and metrics, which follow from the experiment."""

    data: dict[str, Data]
    metrics: dict[str, DeclaredMetric]
    published: PublishedResult | None


class BestState(TypedDict):
    """The best state of a run: the metric "split/name", and its value at a step."""

    metric: str
    better: str
    step: int
    value: float


class Repeat(TypedDict, total=False):
    """One of several runs that share a kept card, distinguished by seed and fold."""

    seed: int
    fold: int
    results: Results
    seconds: dict[str, float]
    params_sha256: EndHashes | None
    marks: dict[str, Hash] | None


class Card(TypedDict, total=False):
    """card.json: what ran, on what, and the results; other tools read its keys."""

    format: int
    experiment: str
    about: str
    file: str
    status: str  # "running", "done", "stopped" or "failed"
    step: int  # of the last save
    steps: int
    started: str  # ISO 8601, in UTC
    config: dict[str, Json]
    run: dict[str, Json]  # the run options
    git: Git
    versions: dict[str, str]
    host: Host
    devices: Devices
    xla_flags: str
    mesh: dict[str, int]
    data: dict[str, Data]
    metrics: dict[str, DeclaredMetric]
    published: PublishedResult | None
    seconds: dict[str, float]
    params_sha256: EndHashes
    results: Results
    parameters: dict[str, int]
    marks: dict[str, Hash]  # by step
    stopped_early: int | None
    unevaluated: int  # the step of an evaluation that was interrupted
    best: BestState | None
    examples_per_second: float | None
    peak_memory_bytes: int | None
    compilation_cache: dict[str, int]
    error: str
    resumed: int  # how often
    accepted_changes: list[str]
    noted_changes: list[str]
    together: int  # the number of seeds that shared the seconds
    # of kept cards only, in experiments/results
    repeats: list[Repeat]
    flags: str  # the options that differ from the experiment's defaults
