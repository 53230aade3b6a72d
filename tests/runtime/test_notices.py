"""What takes seconds is said; steps, and what was said before, are not."""

from __future__ import annotations

import pytest

from dlcore.runtime import notices as notice

pytestmark = pytest.mark.quick


def test_each_kind_of_work_is_said_once_and_steps_never(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notice, "SECONDS", 0.0)
    messages: list[str] = []
    works = [
        "step 1",
        "step 2",
        "saving step 2",
        "saving step 4",
        "the evaluation of test at step 4",
    ]
    with notice.Notices(also=messages.append) as tell:
        for work in works:
            tell(work)
    assert capsys.readouterr().err.splitlines() == [
        "compiling ...",
        "saving step 2 ...",
        "the evaluation of test at step 4 ...",
    ]
    assert messages == ["compiling", *works]


def test_what_ends_soon_is_not_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notice, "SECONDS", 3600.0)
    with notice.Notices() as notices:
        first = notices.timer
        notices("saving")
        second = notices.timer
    for timer in (first, second):
        assert timer
        timer.join(10)
        assert not timer.is_alive()
    assert capsys.readouterr().err == ""


def test_what_takes_long_is_said_meanwhile(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notice, "SECONDS", 1e-3)
    with notice.Notices() as notices:
        assert notices.timer
        notices.timer.join(10)
        assert capsys.readouterr().err == "compiling ...\n"
    monkeypatch.setattr(notice, "SECONDS", 0.0)
    with notice.during("planning"):
        assert capsys.readouterr().err == "planning ...\n"
    with notice.during("planning", active=False):
        assert capsys.readouterr().err == ""
