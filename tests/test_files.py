"""Files are written whole or not at all, links are not followed, and nothing waits for a pipe."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dlcore import files
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "a"
    files.write(file, "old\n")
    file.chmod(0o640)
    with files.replacing(file) as fresh:
        fresh.write(b"new")
        assert file.read_text() == "old\n"
    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_after_an_error_it_is_what_it_was(tmp_path: Path, error: BaseException) -> None:
    files.write(tmp_path / "a", "old")

    def interrupted() -> None:
        with files.replacing(tmp_path / "a") as fresh:
            fresh.write(b"half")
            raise error

    with pytest.raises(type(error)):
        interrupted()
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_link_is_replaced_and_its_target_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "a").symlink_to("target")
    files.write(tmp_path / "a", "new")
    assert (tmp_path / "target").read_text() == "mine"
    assert not (tmp_path / "a").is_symlink()


def test_what_killed_writers_left_is_removed_and_what_a_living_one_holds_is_not(
    tmp_path: Path,
) -> None:
    for name in (".a.4194305", ".a.4194305.0123abcd"):
        (tmp_path / name).write_text("half a page")
    # the last is empty and young: its writer may be about to lock it
    others = [".a.1x", ".b.1", "a.1", ".a.4194306"]
    for name in others:
        (tmp_path / name).write_text("" if name.endswith("6") else "not ours")
    (tmp_path / ".a.7").symlink_to("a.1")
    with files.replacing(tmp_path / "a") as fresh:
        fresh.write(b"slow")
        fresh.flush()
        files.write(tmp_path / "a", "quick")
        assert (tmp_path / "a").read_text() == "quick"
    assert (tmp_path / "a").read_text() == "slow"
    assert names(tmp_path) == sorted(["a", ".a.7", *others])
    os.utime(tmp_path / ".a.4194306", (1e9, 1e9))
    files.write(tmp_path / "a", "later")
    assert ".a.4194306" not in names(tmp_path)


def test_a_long_name_leaves_room_for_the_temporary_one(tmp_path: Path) -> None:
    for file in (tmp_path / ("x" * 255), tmp_path / ("\N{LATIN SMALL LETTER E WITH ACUTE}" * 127)):
        files.write(file, "a")
        assert file.read_text() == "a"


def test_only_regular_files_of_a_sane_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a")
    assert files.read(tmp_path / "link") == files.read(tmp_path / "a", largest=3) == b"abc"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless", "."):
        with pytest.raises(OSError, match=r"not a regular file|directory"):
            files.read(tmp_path / name)
    with pytest.raises(OSError, match="3 bytes, and at most 2"):
        files.read(tmp_path / "a", largest=2)
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 2**40)
    with pytest.raises(OSError, match="1,099,511,627,776 bytes"):
        files.read(tmp_path / "sparse")


def test_one_lock_at_a_time_and_nothing_is_written(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("kept")
    with files.locked(lock), pytest.raises(BlockingIOError), files.locked(lock):
        pytest.fail("two hold it")
    with files.locked(lock):
        assert lock.read_text() == "kept"


def test_a_lock_whose_file_was_removed_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening the file and locking it, whoever held it removes it: the lock would be on a
    file that nobody else opens.
    """
    lock, flock, calls = tmp_path / "lock", files.fcntl.flock, []

    def late(file: int, how: int) -> None:
        if not calls:
            lock.unlink()
        calls.append(how)
        flock(file, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    with files.locked(lock), pytest.raises(BlockingIOError), files.locked(lock):
        pytest.fail("two hold it")
    assert len(calls) == 3


def test_a_lock_that_is_a_link_or_a_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    for target in ("target", "missing"):
        (tmp_path / "lock").symlink_to(target)
        with pytest.raises(UsageError, match="is a link"), files.locked(tmp_path / "lock"):
            pytest.fail("it is a link")
        (tmp_path / "lock").unlink()
    assert names(tmp_path) == ["target"]
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(UsageError, match="no regular file"), files.locked(tmp_path / "lock"):
        pytest.fail("it is a pipe")


def test_an_error_inside_a_lock_passes_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.locked(tmp_path / "lock"):
        (tmp_path / "missing").read_text()
