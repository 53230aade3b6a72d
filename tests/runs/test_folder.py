"""A run's folder belongs to one process, and what is refused touches nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import catalog, circumstances, trust
from dlcore.runs import folder as folders
from dlcore.runs import session as run
from dlcore.seeds import runs
from tests.child import card, tiny

PAGE = catalog.load(catalog.find("mlp_digits"))
TINY = tiny("mlp_digits")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def contents(folder: Path) -> dict[str, Any]:
    """Every entry; of files their text, of links what they name."""
    return {
        str(path): (
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "train",
    [
        pytest.param(run.train, id="train"),
        pytest.param(runs.train, id="seeds", marks=pytest.mark.nightly),
    ],
)
def test_a_second_train_into_the_same_new_folder_is_refused_and_touches_nothing(
    train: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes while the first one asks git, before there is a card: the moment at which it deleted
    the first one's folder.
    """
    flags = RunOptions(offline=True, out="new/run", seeds=2 if train is runs.train else 1)
    git, messages = circumstances.git, []

    def slow(folder: Path) -> dict[str, Any]:
        if not messages:
            messages.append("")
            before = contents(Path("new")) if Path("new").exists() else None
            if train is run.train:
                with pytest.raises(UsageError, match="another process is training in") as error:
                    train(PAGE, TINY, flags)
                messages.append(str(error.value))
                assert contents(Path("new")) == before
        return git(folder)

    def other(*words: Any) -> None:
        if messages == [""]:
            messages.append("")
            with pytest.raises(UsageError, match="another process is training in"):
                train(PAGE, TINY, flags)

    monkeypatch.setattr(circumstances, "git", slow)
    if train is runs.train:
        keep_page = folders.keep_page
        monkeypatch.setattr(folders, "keep_page", lambda *words: (other(), keep_page(*words)))
    assert train(PAGE, TINY, flags) == 0
    assert len(messages) == 2, "the second one was there"
    for folder in (
        [Path("new/run")]
        if train is run.train
        else [Path("new/run/seed-0"), Path("new/run/seed-1")]
    ):
        assert card(folder)["status"] == "done"
        assert (folder / "metrics.jsonl").exists()
    with pytest.raises(UsageError, match="already holds a run"):
        train(PAGE, TINY, flags)


@pytest.mark.quick
def test_two_that_begin_at_once_have_two_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one makes the folder between the look at the numbers and the making."""
    with folders.claimed(PAGE, RunOptions(offline=True)) as first:
        monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
        with folders.claimed(PAGE, RunOptions(offline=True)) as second:
            assert (first.name, second.name) == ("001", "002")


@pytest.mark.quick
@pytest.mark.parametrize("error", [UsageError("full"), KeyboardInterrupt(), ValueError("a bug")])
@pytest.mark.parametrize("out", ["", "a/b/run", "mine"])
def test_a_start_that_fails_leaves_what_was_there(
    out: str, error: BaseException, tmp_path: Path
) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    before = contents(tmp_path)

    def begin() -> None:
        with folders.claimed(PAGE, RunOptions(offline=True, out=out)) as folder:
            folders.keep_page(folder, PAGE)
            cards.write(folder, {"experiment": "mlp_digits"})
            (folder / "checkpoints" / "tmp").mkdir(parents=True)
            (folder / "events.out.tfevents.1.host").touch()
            assert (folder / "lock").exists()
            raise error

    with pytest.raises(type(error)):
        begin()
    assert contents(tmp_path) == before


@pytest.mark.quick
def test_a_run_that_has_begun_to_train_stays(tmp_path: Path) -> None:
    with (
        contextlib.suppress(UsageError),
        folders.claimed(PAGE, RunOptions(offline=True, out="run")) as folder,
    ):
        (folder / "metrics.jsonl").touch()
        raise UsageError("full")
    assert [path.name for path in sorted(Path("run").iterdir())] == ["lock", "metrics.jsonl"]


@pytest.mark.quick
@pytest.mark.parametrize(
    "name", ["experiment.py", "metrics.jsonl", "diagnostics.jsonl", "checkpoints", "samples"]
)
def test_what_a_run_would_write_over_is_refused(name: str, tmp_path: Path) -> None:
    path = Path("mine") / name
    path.parent.mkdir()
    if path.suffix:
        path.write_text("my own")
    else:
        path.mkdir()
    Path("mine/lock").write_text("my own")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=rf"mine holds {name}, .* choose another --out"):
        run.train(PAGE, TINY, RunOptions(offline=True, out="mine"))
    assert contents(tmp_path) == before


@pytest.mark.quick
def test_what_a_killed_start_left_is_used(tmp_path: Path) -> None:
    Path("run").mkdir()
    Path("run/experiment.py").write_text(PAGE.source, encoding="utf-8")
    Path("run/lock").touch()
    with folders.claimed(PAGE, RunOptions(offline=True, out="run")) as folder:
        folders.keep_page(folder, PAGE)


@pytest.mark.quick
@pytest.mark.parametrize("out", ["file", "file/run", "dangling", "x" * 300])
def test_what_is_no_folder_is_said(out: str, tmp_path: Path) -> None:
    Path("file").write_text("mine")
    Path("dangling").symlink_to("nowhere")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r"cannot write into .* choose another --out"):
        run.train(PAGE, TINY, RunOptions(offline=True, out=out))
    assert contents(tmp_path) == before


LINKS = [
    "lock",
    "experiment.py",
    "card.json.new",
    "metrics.jsonl",
    "metrics.jsonl.new",
    "diagnostics.jsonl",
    "stacks.txt",
]


@pytest.mark.quick
@pytest.mark.parametrize(
    "name", [*LINKS, "tracked.json", "checkpoints", "samples", "checkpoints/3"]
)
@pytest.mark.parametrize("target", ["mine.txt", "missing.txt", "folder"])
def test_nothing_is_written_through_a_link(name: str, target: str, tmp_path: Path) -> None:
    """In a new run's folder, in one that is resumed, and where a card or an experiment file is
    written in spite of it.
    """
    Path("mine.txt").write_text("mine")
    Path("folder").mkdir()
    Path("run/checkpoints").mkdir(parents=True)
    if name == "checkpoints":
        Path("run/checkpoints").rmdir()
    (Path("run") / name).symlink_to(tmp_path / target)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=rf"{name} is a link"):
        run.train(PAGE, TINY, RunOptions(offline=True, out="run"))
    with pytest.raises(UsageError, match=rf"{name} is a link"), folders.alone(Path("run")):
        pytest.fail("it was opened")
    assert contents(tmp_path) == before
    cards.write(Path("run"), {"experiment": "x"})
    folders.keep_page(Path("run"), PAGE)
    assert Path("mine.txt").read_text() == "mine"
    assert not Path("missing.txt").exists()


@pytest.mark.quick
def test_the_user_s_own_links_do_not_disturb(tmp_path: Path) -> None:
    Path("disk/run").mkdir(parents=True)
    Path("run").symlink_to("disk/run")
    Path("disk/run/notes.txt").symlink_to("nowhere")
    with folders.claimed(PAGE, RunOptions(offline=True, out="run")) as folder:
        cards.write(folder, {"experiment": "mlp_digits"})
    assert Path("disk/run/card.json").exists()


@pytest.mark.quick
def test_training_lists_the_file_as_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("mine.py").write_text(PAGE.source)
    page = catalog.load(Path("mine.py"))
    Path("run").mkdir()
    folders.keep_page(Path("run"), page)
    assert trust.is_known(tmp_path / "mine.py", page.source)
    assert not trust.is_known(tmp_path / "mine.py", page.source + "\nbatch = 1\n")
