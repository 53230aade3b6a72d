"""The entries of card.json, as this version of dlcore writes them.

All of them are optional for a type checker: a card that is read from a file may lack some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict

from dlcore.files import Json

Results = Mapping[str, Mapping[str, float]]  # {split: {metric: value}}


class Git(TypedDict):
    """The repository of the experiment file; both entries are None where it is in none.

    Attributes:
        commit: hash of the checked-out commit.
        clean: whether nothing differs from that commit, as of `circumstances.git`.
    """

    commit: str | None
    clean: bool | None


class Host(TypedDict):
    """The computer of the first process.

    Attributes:
        cpu: name of the processor.
        model: its family and model, see `runtime.processor.model`; older cards lack it.
        cores: number of logical cores that the process may use.
        system: operating system and architecture, as "Linux x86_64".
    """

    cpu: str
    model: NotRequired[str]
    cores: int
    system: str


class Devices(TypedDict):
    """The devices of JAX, over all processes.

    Attributes:
        platform: "cpu", "gpu" or "tpu".
        kind: model of the first device.
        count: number of devices of all processes.
        processes: number of processes.
    """

    platform: str
    kind: str
    count: int
    processes: int


class Machine(TypedDict):
    """The entries on what a run was computed on.

    Attributes:
        host, devices: see `Host` and `Devices`.
        xla_flags: the environment variable XLA_FLAGS; "": not set.
    """

    host: Host
    devices: Devices
    xla_flags: str


class Hash(TypedDict):
    """The SHA-256 of the parameters at a step, and their L2 norm.

    Attributes:
        sha256: 64 hexadecimal digits.
        norm: may be missing in a card.
    """

    sha256: str
    norm: NotRequired[float]


class EndHashes(TypedDict):
    """The SHA-256 of the parameters before the first and after the last step; None: not yet."""

    start: str | None
    end: str | None


class Data(TypedDict):
    """Which data a split has; see `dlcore.data.source.Info` for the entries."""

    name: str
    version: str
    split: str
    fingerprint: str
    examples: int


class DeclaredMetric(TypedDict):
    """What an experiment declares of a metric; see `dlcore.metrics.known.Metric`.

    Older cards lack `baseline_of`.
    """

    better: Literal["higher", "lower"] | None
    unit: str
    baseline_of: NotRequired[str]


class PublishedResult(TypedDict):
    """A published result: see `dlcore.train.Published`; older cards lack `caveat`."""

    metric: str
    value: float
    source: str
    better: str
    split: str
    caveat: NotRequired[str]


class DataEntries(TypedDict):
    """The entries on data and metrics, which follow from the experiment, see `Card`."""

    data: dict[str, Data]
    metrics: dict[str, DeclaredMetric]
    published: PublishedResult | None


class BestState(TypedDict):
    """The best state of a run.

    Attributes:
        metric: "split/name".
        better: "higher" or "lower".
        step: of the best state.
        value: of the metric at that step.
    """

    metric: str
    better: str
    step: int
    value: float


class Repeat(TypedDict, total=False):
    """One of several runs that share a kept card, distinguished by seed and fold.

    Attributes:
        seed: the run option.
        fold: the config's field; missing where the config has none.
        results, seconds, params_sha256, marks: entries of the run's own `Card`.
    """

    seed: int
    fold: int
    results: Results
    seconds: dict[str, float]
    params_sha256: EndHashes | None
    marks: dict[str, Hash] | None


class Card(TypedDict, total=False):
    """card.json: what ran, on what, and the results; other tools read its keys.

    Attributes:
        format: version of the format; 1 where it is missing.
        experiment, about, file: name, description and path of the experiment file.
        status: "running", "done", "stopped" or "failed" (diverged).
        step: the step of the last save.
        steps: the number of steps of the whole run.
        started: time, ISO 8601, in UTC.
        config: the experiment's config.
        run: the run options.
        git, host, devices: see `Git`, `Host` and `Devices`.
        versions: {name: version} of Python and packages.
        xla_flags: as of `Machine`.
        mesh: {axis of the device mesh: size}.
        data: {split: data}.
        metrics: {name: what the experiment declares of it}.
        published: the published result; None where the experiment states none.
        params_sha256: hashes of the parameters at start and end.
        best: the best state; None without a `best` metric or a finite value of it.
        peak_memory_bytes: as of `circumstances.peak_memory`; None: not known.
        seconds: "compile", "train", "eval" and "total", summed over all resumes.
        results: metrics of the newest evaluation; at the end those of the best state.
        parameters: {model: number of parameters}.
        marks: {step: hash and norm of the parameters}, which `dlcore verify` compares.
        stopped_early: the step at which `--patience` ended training; None: it did not.
        unevaluated: the step of an evaluation that was interrupted, which `resume` repeats.
        examples_per_second: number of trained examples / seconds of training.
        compilation_cache: numbers of programs, see `dlcore.runtime.compilation_cache`.
        error: the message of the error that ended the run.
        resumed: how often the run was resumed.
        accepted_changes: differences of code and options that the user accepted in a resume.
        noted_changes: differences of versions and commit that a resume has printed.
        together: the number of seeds that shared the seconds.
        repeats: several runs; only in kept cards (experiments/results), as is `flags`.
        flags: the options that differ from the experiment's defaults.
    """

    format: int
    experiment: str
    about: str
    file: str
    status: str
    step: int
    steps: int
    started: str
    config: dict[str, Json]
    run: dict[str, Json]
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
    marks: dict[str, Hash]
    stopped_early: int | None
    unevaluated: int
    best: BestState | None
    examples_per_second: float | None
    peak_memory_bytes: int | None
    compilation_cache: dict[str, int]
    error: str
    resumed: int
    accepted_changes: list[str]
    noted_changes: list[str]
    together: int
    repeats: list[Repeat]
    flags: str
