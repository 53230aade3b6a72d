"""Where a page may be written, and what is no run's card."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from dlcore.cli import main as cli
from dlcore.errors import UsageError
from dlcore.report import page
from dlcore.runs import card as cards

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder, with a card alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "card.json").write_text(json.dumps({"experiment": "mlp_digits"}))
    return Path("run")


def test_a_device_and_a_pipe_are_written_into_and_stay(run: Path) -> None:
    Path("null").symlink_to("/dev/null")
    page.write([run], "null")
    assert Path("/dev/null").is_char_device()
    assert Path("null").is_symlink()
    os.mkfifo("pipe")
    contents: list[str] = []
    reader = threading.Thread(
        target=lambda: contents.append(Path("pipe").read_text(encoding="utf-8"))
    )
    reader.start()
    page.write([run], "pipe")
    reader.join(10)
    assert contents[0].startswith("<!doctype html>")
    assert Path("pipe").is_fifo()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # a fault here would replace the link, and not this machine's device
    Path("full").symlink_to("/dev/full")
    assert cli.main(["report", str(run), "--out", "full"]) == 2
    assert "cannot write full: No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["folder", "folder/", "new/"])
def test_a_folder_gets_the_page(run: Path, out: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder").mkdir()
    assert cli.main(["report", str(run), "--out", out]) == 0
    assert capsys.readouterr().out.strip() == os.path.join(out, "report.html")
    assert Path(out, "report.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("", "--out is empty"),
        (" ", "--out is empty"),
        ("run/card.json", "would be lost"),
        ("run/metrics.jsonl", "would be lost"),
        ("run/card.json/page.html", "cannot write"),
        ("x" * 300, "cannot write"),
    ],
)
def test_where_no_page_can_be(
    run: Path, out: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in run.iterdir()}
    assert cli.main(["report", str(run), "--out", out]) == 2
    assert why in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_what_a_killed_report_left_is_removed(run: Path) -> None:
    (run / ".report.html.4194305").write_text("<!doctype html>\n<half a page")
    page.write([run])
    assert sorted(path.name for path in run.iterdir()) == ["card.json", "report.html"]


def test_a_link_in_the_run_is_replaced_and_one_that_was_named_is_followed(run: Path) -> None:
    for link in (run / "report.html", Path("named.html")):
        link.symlink_to(Path.cwd() / f"target-of-{link.name}")
    page.write([run])
    page.write([run], "named.html")
    assert not Path("target-of-report.html").exists()
    assert Path("target-of-named.html").exists()


@pytest.mark.parametrize("kind", ["pipe", "endless", "sparse"])
def test_a_card_that_never_ends_is_refused_at_once(run: Path, kind: str) -> None:
    """Reading it would wait for ever, or until the memory is full."""
    file = run / "card.json"
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "endless":
        file.symlink_to("/dev/zero")
    else:
        file.touch()
        os.truncate(file, 2**40)
    with pytest.raises(UsageError, match=r"card\.json: cannot be read"):
        page.write([run])
    with pytest.raises(UsageError, match=r"no card\.json|cannot be read"):
        cards.read(run)


def test_other_files_that_never_end_are_refused_or_left_out(run: Path) -> None:
    (run / "samples").mkdir()
    os.mkfifo(run / "samples" / "index.json")
    os.mkfifo(run / "metrics.jsonl")
    assert "The samples are left out" in page.write([run]).read_text(encoding="utf-8")
    for name in ("metrics.jsonl", "diagnostics.jsonl"):
        (run / name).unlink(missing_ok=True)
        (run / name).touch()
        os.truncate(run / name, 2**40)
        with pytest.raises(UsageError, match=rf"{name}: 1,099,511,627,776 bytes"):
            page.write([run])
        (run / name).unlink()
