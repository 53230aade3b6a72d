"""Nothing from a run becomes markup of the page, and the page asks for nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlcore import samples
from dlcore.report import markup, page
from dlcore.runs import sample_files
from tests.report.pages import CARD, TAGS, Parsed, make


class Parts:
    """A sample of audio, marked text and a drawing, with `word` wherever they take text."""

    def __init__(self, word: str) -> None:
        self.title = word

    def parts(self, files: samples.PartWriter) -> list[samples.Part]:
        word = self.title
        drawing = f"<svg><text>{escape(markup.clean(word))}</text></svg>"
        marked = files.text(f"{word} end", [samples.Span(0, len(word), word)])
        return [files.audio(np.zeros(3), 8000, word), marked, files.svg(drawing, word)]


def everywhere(folder: Path, word: str) -> Path:
    """A run in which `word` stands wherever a run can put text."""
    w = "w" + word
    card = CARD | {
        "experiment": w,
        "about": w,
        "status": w,
        "error": w,
        "config": {w: w, "x": [w, {w: w}]},
        "versions": {"jax": w},
        "git": {"commit": w, "clean": w},
        "devices": {"kind": w, "count": w},
        "started": w,
        "host": {w: w},
        "data": {w: {"name": w, "version": w, "split": w, "fingerprint": w, "examples": w}},
        "parameters": {w: 3, "b": 4},
        "results": {"test": {w: 1.5}},
        "published": {"metric": w, "value": 2, "source": w, "better": "higher"},
    }
    lines = [{"step": s, "split": w, "m" + w: 1.0 * s} for s in range(3)]
    run = make(folder, card, lines)
    pictures = samples.Images(w, np.zeros((2, 2, 2)), (w, w), (True, False))
    table = samples.Table(w, (w, "n"), ((w, 1.0), ("a", w)))
    plot = samples.Plot(
        w,
        w,
        w,
        (
            samples.Series(w, np.arange(3), np.arange(3)),
            samples.Series(w, np.arange(3), np.ones(3), True),
        ),
    )
    sample_files.save(run / "samples", [samples.Text(w, w, w), pictures, table, plot, Parts(w)])
    return run


NASTY = st.one_of(
    st.sampled_from(
        ["</script><img src=x onerror=alert(1)>", "<!--", "]]>", "\"onload='x'", "&lt;&#0;&amp"]
    ),
    st.sampled_from(["\u2028\u2029", "\ud800", "\0", "'><svg onload=x>"]),
    st.text(alphabet=st.characters(exclude_characters="/"), max_size=12),
)


@pytest.mark.slow
@given(word=NASTY)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_text_of_a_run_becomes_markup(tmp_path: Path, word: str) -> None:
    plain = Parsed(page.render([everywhere(tmp_path / "a", ""), make(tmp_path / "b")]))
    nasty = Parsed(page.render([everywhere(tmp_path / "a", word), make(tmp_path / "b")]))
    if "/" not in word:  # a slash in a metric's name may rightly move it to another chart
        assert nasty.tags == plain.tags
    assert not {name for _, names in nasty.tags for name in names if name.startswith("on")}
    assert {tag for tag, _ in nasty.tags} <= TAGS
    shown = markup.clean("w" + word)
    assert any(text == shown for text in nasty.texts)
    assert shown in nasty.values
    assert shown in json.loads(nasty.block)["splits"]


LEAVES = st.none() | st.booleans() | st.integers() | st.text()


@pytest.mark.slow
@given(
    value=st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
@settings(max_examples=60, deadline=None)
def test_json_in_the_page_comes_back_and_holds_no_markup(value: Any) -> None:
    block = markup.json_block({"value": value}, "x")
    inner = block.removeprefix('<script type="application/json" id="x">').removesuffix("</script>")
    assert json.loads(inner) == {"value": value}
    assert not set("<>&\u2028\u2029") & set(inner)


def test_the_page_asks_for_nothing_and_allows_only_its_own_script(tmp_path: Path) -> None:
    parsed = Parsed(page.render([make(tmp_path / "a")]))
    policy = next(value for value in parsed.values if value.startswith("default-src"))
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    names = {name for _, names in parsed.tags for name in names}
    assert "style" not in names  # the policy would drop it
    assert not any(
        value.startswith(("http:", "https:", "//", "javascript:", "file:"))
        for value in parsed.values
    )
    for asset in ("tools.js", "charts.js", "page.css"):
        text = (Path(page.__file__).parent / asset).read_text(encoding="utf-8")
        assert "</" not in text
        assert "@import" not in text
        assert "innerHTML" not in text
