"""Trackers without a network: each number once, over a stop and a resume; one that fails ends no
run; nothing secret leaves.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import pytest

from dlcore.cli import main as cli
from dlcore.runs import trackers, tracking
from tests.child import LIMIT, flags_of, logged, tiny

WORDS = [
    "train",
    "mlp_digits",
    *flags_of(tiny("mlp_digits")),
    "--steps",
    "12",
    "--log-every",
    "1",
    "--eval-every",
    "4",
]
SECRET = "a-key-that-nobody-may-see"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))
    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):  # wandb and mlflow leave their own
        del os.environ[name]


class Memory:
    """A tracker that remembers; it fails from `until` on."""

    def __init__(self, until: int = 10**9) -> None:
        self.until, self.sent, self.ended = until, {}, []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if step >= self.until:
            raise ConnectionError("no server")
        for name, value in values.items():
            assert (step, name) not in self.sent
            self.sent[step, name] = value

    def end(self, done: bool) -> None:
        if self.until < 10**9:
            raise ConnectionError("no server at the end")
        self.ended.append(done)


def numbers(run: Path) -> dict[tuple[int, str], float]:
    """What metrics.jsonl says."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        (line["step"], f"{line['split']}/{k}"): v
        for line in lines
        for k, v in line.items()
        if k not in ("step", "split")
    }


@pytest.mark.slow
def test_each_number_once_over_a_stop_and_a_resume(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    memory, idents = Memory(), []
    monkeypatch.setattr(
        tracking, "Wandb", lambda name, config, ident, folder: idents.append(ident) or memory
    )
    stopped = [*WORDS, "--steps", "9", "--save-every", "6", "--track", "wandb", "--out", "run"]
    assert cli.main(stopped) == 0
    # As if it had been killed after step 9, with a checkpoint of step 6.
    sent = json.loads(Path("run/card.json").read_text())
    Path("run/card.json").write_text(json.dumps(sent | {"status": "running"}))
    for path in sorted(Path("run/checkpoints/9").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    Path("run/checkpoints/9").rmdir()
    assert cli.main(["resume", "run", "--steps", "12", "--accept-changes"]) == 0
    logged_at, logged_to = numbers(Path("run")), memory.sent
    assert {name for _, name in logged_at} == {name for _, name in logged_to}
    assert {key for key in logged_at if not key[1].startswith("test/")} <= set(logged_to)
    assert "tracking ended" not in capsys.readouterr().err, (
        "what was trained again is not sent again"
    )
    assert memory.ended == [True, True]
    assert idents[0] == idents[1], "the same tracked run"


def forwarded(folder: Path, memory: Memory, steps: list[int], done: bool = False) -> None:
    """Writes a loss, and one that is not finite, for each of these steps."""
    sent = tracking.Sent.load(folder / "tracked.json")
    writer = tracking.TrackingWriter("wandb", memory, folder, sent)
    for step in steps:
        writer.write(step, "train", {"loss": 1.5, "broken": float("nan")})
    writer.close(done)


@pytest.mark.quick
def test_what_is_written_again_after_a_resume_is_sent_once(tmp_path: Path) -> None:
    memory = Memory()
    forwarded(tmp_path, memory, [1, 2])
    forwarded(tmp_path, memory, [1, 2, 3], done=True)
    assert memory.sent == {(step, "train/loss"): 1.5 for step in (1, 2, 3)}
    assert memory.ended == [False, True]
    sent = tracking.Sent.load(tmp_path / "tracked.json")
    assert (sent.step, sent.splits, sent.names) == (3, ["train"], ["train/loss"])
    for damaged in ('{"id": ', "[]", "3", '{"step": "x"}', '{"splits": null}'):
        (tmp_path / "tracked.json").write_text(damaged)
        with pytest.raises(tracking.UsageError, match=r"tracked\.json is damaged .*: remove it"):
            tracking.Sent.load(tmp_path / "tracked.json")


@pytest.mark.quick
def test_metrics_of_a_past_step_are_sent_if_they_are_new(tmp_path: Path) -> None:
    """As the test split of a best state, which is measured at the end."""
    memory, sent = Memory(), tracking.Sent()
    writer = tracking.TrackingWriter("wandb", memory, tmp_path, sent)
    writer.write(8, "train", {"loss": 1.0})
    writer.write(8, "validation", {"loss": 2.0})
    writer.write(4, "test", {"loss": 3.0})
    writer.write(4, "validation", {"loss": 2.5})
    writer.close(done=True)
    assert memory.sent == {
        (8, "train/loss"): 1.0,
        (8, "validation/loss"): 2.0,
        (8, "test/loss"): 3.0,
    }


@pytest.mark.quick
def test_what_a_killed_process_has_logged_and_not_sent_is_sent_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory()
    monkeypatch.setattr(tracking, "Wandb", lambda *_: memory)
    lines = '{"step": 1, "split": "train", "loss": 1.5, "bad": null}\n{"step": 2, "spl'
    (tmp_path / "metrics.jsonl").write_text(lines)
    card = {"experiment": "x", "config": {}, "run": {}, "status": "stopped"}
    with tracking.tracked("wandb", tmp_path, card):
        pass
    assert memory.sent == {(1, "train/loss"): 1.5}
    assert memory.ended == [False]


@pytest.mark.quick
def test_a_tracker_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = threading.Event()

    class Hanging(Memory):
        def log(self, step: int, values: Mapping[str, float]) -> None:
            answered.wait()

    monkeypatch.setattr(tracking, "TIMEOUT_SECONDS", 0.01)
    memory = Hanging()
    forwarded(tmp_path, memory, [1])
    answered.set()
    assert "--track wandb does not answer" in capsys.readouterr().err
    assert not memory.ended


@pytest.mark.slow
def test_a_tracker_that_fails_is_reported_once_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = Memory(until=5)
    monkeypatch.setattr(tracking, "Mlflow", lambda *_: memory)
    assert cli.main([*WORDS, "--track", "mlflow", "--out", "run"]) == 0
    said = capsys.readouterr().err
    assert said.count("tracking ended after step 4 (no server); the run continues") == 1
    assert "at the end" not in said
    assert len(logged(Path("run"), "train")) == 12


@pytest.mark.slow
def test_one_that_cannot_start_is_reported_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError(reason)

    reason = ""
    monkeypatch.setattr(tracking, "Wandb", refuse)
    assert cli.main([*WORDS, "--track", "wandb", "--out", "run"]) == 2
    assert "--track wandb cannot start: RuntimeError; wandb login" in capsys.readouterr().err
    reason = "no API key"

    monkeypatch.setattr(tracking, "Wandb", refuse)
    assert cli.main([*WORDS, "--track", "wandb", "--out", "run"]) == 2
    assert (
        "--track wandb cannot start: no API key; wandb login, or WANDB_MODE=offline"
        in capsys.readouterr().err
    )
    assert not Path("run").exists()
    monkeypatch.undo()
    monkeypatch.setattr(
        trackers.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name))
    )
    with pytest.raises(tracking.UsageError, match=r"pip install 'dlcore\[track\]'"):
        trackers.imported("wandb")


@pytest.mark.nightly
def test_mlflow_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra `track`")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
    assert cli.main([*WORDS, "--track", "mlflow", "--out", "run"]) == 0
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("dlcore").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["recipe.lr"] == str(tiny("mlp_digits").recipe.lr)
    history = {
        m.step: m.value for m in client.get_metric_history(run.info.run_id, "train/net/loss")
    }
    assert history == {line["step"]: line["net/loss"] for line in logged(Path("run"), "train")}
    assert SECRET not in str(run.to_dictionary())
    assert SECRET not in Path("run/card.json").read_text()


@pytest.mark.nightly
def test_wandb_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs the extra `track`")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setenv("HOME_SECRET", SECRET)
    monkeypatch.setattr("socket.gethostname", lambda: "name-of-a-machine")
    assert cli.main([*WORDS, "--track", "wandb", "--out", "run"]) == 0
    (kept,) = Path("run/wandb").glob("offline-run-*/*.wandb")
    # The service of wandb writes the file, in its own time.
    end, names = time.monotonic() + LIMIT, (b"train/net/loss", b"validation/accuracy")
    while missing := [name for name in names if name not in kept.read_bytes()]:
        assert time.monotonic() < end, f"{missing} not in {kept} of {kept.stat().st_size} bytes"
        threading.Event().wait(0.05)
    everything = b"".join(path.read_bytes() for path in Path("run").rglob("*") if path.is_file())
    assert SECRET.encode() not in everything
    assert b"name-of-a-machine" not in kept.read_bytes()
    assert not [*Path("run/wandb").rglob("requirements.txt")]
