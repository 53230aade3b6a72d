"""A folder that is removed or renamed while a run writes into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.runs.folder_watch import FolderWatch

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("closed", [False, True])
def test_a_renamed_folder_is_noticed_and_found_by_an_open_file(
    tmp_path: Path, closed: bool
) -> None:
    folder, renamed = tmp_path / "run", tmp_path / "renamed"
    folder.mkdir()
    with (folder / "log").open("w") as log:
        watch = FolderWatch(folder)
        assert watch.error(folder, log) is None
        if closed:
            log.close()
        folder.rename(renamed)
        message = str(watch.error(folder, log))
    assert str(folder) in message
    assert (str(renamed) in message) is (Path("/proc/self/fd").exists() and not closed)


def test_another_folder_of_the_same_name_is_not_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    watch = FolderWatch(folder)
    folder.rename(tmp_path / "renamed")
    folder.mkdir()
    assert not watch.is_same(folder)
    assert watch.error(folder, None) is not None
