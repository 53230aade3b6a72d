"""Numbers of the page: ticks that can be told apart, the same in Python and in the browser, and
what was measured once.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcore.report import curves, drawing, page, runs
from dlcore.report.drawing import labels, log_ticks, step_ticks, ticks
from tests.report.pages import CARD, Parsed, make

pytestmark = pytest.mark.quick

UNITS = {"k": 1e3, "M": 1e6, "G": 1e9}


def value_of(text: str) -> float:
    return float(text.rstrip("kMG")) * UNITS.get(text[-1], 1.0)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.0, 0.2, 0.4], ["0", "0.2", "0.4"]),
        ([0.9702, 0.9704, 0.9706], ["0.9702", "0.9704", "0.9706"]),
        ([0.95, 1.0, 1.05], ["0.95", "1.00", "1.05"]),
        ([-0.5, 0.0, 0.5, 1.0], ["-0.5", "0", "0.5", "1.0"]),
        ([0.0, 5000.0, 10000.0], ["0", "5k", "10k"]),
        ([12340.0, 12345.0, 12350.0], ["12340", "12345", "12350"]),
        ([1.0e6, 1.05e6], ["1.00M", "1.05M"]),
        ([2e9, 4e9], ["2G", "4G"]),
        ([1e6, 1000001.0], ["1000000", "1000001"]),
        ([-1e-5, 0.0, 1.5e-5], ["-1e-5", "0", "1.5e-5"]),
        ([1e16, 1.2e16], ["1e16", "1.2e16"]),
        ([7.0], ["7"]),
        ([], []),
    ],
)
def test_labels(values: list[float], texts: list[str]) -> None:
    assert labels(values) == texts


def test_labels_of_a_logarithmic_axis_have_a_unit_each() -> None:
    assert labels([1e-4, 1e-3, 0.1, 10.0, 1e3, 1e4, 1e6], log=True) == [
        "1e-4",
        "0.001",
        "0.1",
        "10",
        "1000",
        "10k",
        "1M",
    ]
    assert labels(log_ticks(0.9701, 0.9709), log=True) == ["0.9702", "0.9704", "0.9706", "0.9708"]


RANGES = st.tuples(st.floats(-1e12, 1e12), st.floats(-9, 0)).map(
    lambda pair: (pair[0], pair[0] + max(abs(pair[0]), 1e-3) * 10 ** pair[1])
)


@given(RANGES, st.integers(2, 10))
def test_ticks_can_be_distinguished_and_say_where_they_are(
    bounds: tuple[float, float], count: int
) -> None:
    low, high = bounds
    marks = ticks(low, high, count)
    texts = labels(marks)
    assert len(set(texts)) == len(marks)
    gap = min(np.diff(marks), default=abs(high) * 0.1)
    np.testing.assert_allclose([value_of(text) for text in texts], marks, rtol=0, atol=0.02 * gap)


@given(st.integers(0, 10**8), st.integers(1, 10**8), st.integers(60, 900))
def test_ticks_of_steps_are_whole_and_have_room(first: int, length: int, width: int) -> None:
    marks = step_ticks(first, first + length, width)
    assert all(mark == int(mark) and first <= mark <= first + length for mark in marks)
    assert len(marks) <= 7
    assert len(marks) <= 3 or sum(6.4 * len(text) for text in labels(marks)) <= width


def test_the_browser_writes_the_same_labels() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: nothing runs tools.js")
    spans = [
        (0, 1),
        (0.9701, 0.9709),
        (12340, 12350),
        (1e6, 1.2e6),
        (1e6, 1e6 + 5),
        (-3e-5, 2e-5),
        (0, 15000),
        (1e-9, 2e-9),
        (-7, 3),
    ]
    spans += [(0.5, 0.5001), (2e9, 9e9), (1e16, 3e16), (99.5, 100.5)]
    logs = [(1e-5, 1e7), (0.97, 0.98), (2, 300), (1e-9, 1e-3), (0.4, 9)]
    tools = (Path(page.__file__).parent / "tools.js").read_text(encoding="utf-8")
    program = f"""
        const document = {{ querySelectorAll: () => [] }};
        {tools.replace('"use strict";', "")}
        const out = {{ linear: {json.dumps(spans)}.map(([a, b]) => labels(ticks(a, b, 5))),
                       log: {json.dumps(logs)}.map(([a, b]) => labels(logTicks(a, b), true)),
                       margin: [margin(["1"]), margin(["0.123456"])],
                       steps: [[1, 2], [0, 1200], [12345678, 12345690]]
                         .map(([a, b]) => stepTicks(a, b, 384)) }};
        process.stdout.write(JSON.stringify(out));
    """
    found = json.loads(
        subprocess.run(
            [node, "-"], input=program, capture_output=True, text=True, check=True
        ).stdout
    )
    assert found["linear"] == [labels(ticks(a, b, 5)) for a, b in spans]
    assert found["log"] == [labels(log_ticks(a, b), log=True) for a, b in logs]
    assert found["margin"] == [drawing.margin(["1"]), drawing.margin(["0.123456"])] == [46, 62]
    assert found["steps"] == [
        step_ticks(a, b, 384) for a, b in ((1, 2), (0, 1200), (12345678, 12345690))
    ]


def test_a_chart_of_values_that_lie_close_together_says_which_they_are(tmp_path: Path) -> None:
    lines = [
        {"step": s, "split": "validation", "accuracy": 0.9701 + 0.0002 * s, "far": 1e6 + s / 100}
        for s in range(5)
    ]
    text = page.render([make(tmp_path / "a", lines=lines)])
    drawn = dict(re.findall(r"<h3>(\w+)</h3></figcaption>(<svg.*?</svg>)", text))
    for chart in ("accuracy", "far"):
        heights = re.findall(r'<text class="ty"[^>]*>([^<]*)</text>', drawn[chart])
        assert len(set(heights)) == len(heights) >= 4, chart
        steps = re.findall(r'<text class="tx"[^>]*>([^<]*)</text>', drawn[chart])
        assert steps == ["0", "1", "2", "3", "4"]
    assert "0.9704" in drawn["accuracy"]
    (far,) = [chart for chart in json.loads(Parsed(text).block)["charts"] if chart["name"] == "far"]
    assert far["curves"][0]["y"] == pytest.approx([1e6 + s / 100 for s in range(5)], abs=1e-4), (
        "six digits would be a flat line"
    )


def once(folder: Path, **card: Any) -> Path:
    """A run with a curve of the loss, and metrics that were measured at the end alone."""
    lines = [{"step": s, "split": "train", "net/loss": 1 / s} for s in (1, 2, 3)]
    lines += [
        {"step": 3, "split": "test", "psnr": 27.25, "ssim": 0.91},
        {"step": 3, "split": "validation", "psnr": 28.5},
    ]
    return make(folder, CARD | {"published": None} | card, lines)


def test_a_metric_that_was_measured_once_is_a_number_and_no_chart(tmp_path: Path) -> None:
    run = once(tmp_path / "a", results={"test": {"ssim": 0.91}})
    text = page.render([run])
    parsed = Parsed(text)
    assert [chart["name"] for chart in json.loads(parsed.block)["charts"]] == ["loss"]
    assert text.count('class="chart"') == 1
    table = text[text.index('<section id="once"') :].partition("</section>")[0]
    rows = re.findall(
        r'<th scope="row">(\w+)</th><td>(\w+)</td><td class="n">([\d.]+)</td><td'
        r' class="n">(\d+)</td>',
        table,
    )
    assert rows == [("psnr", "validation", "28.500", "3"), ("psnr", "test", "27.250", "3")]
    assert "ssim" not in table, "the results have it"
    assert "0.9100" in text
    legend = text[text.index('id="bar"') :].partition("</div>")[0]
    assert "train" in legend
    assert "test" not in legend, "no curve is of that split"


def test_of_several_runs_each_has_a_column(tmp_path: Path) -> None:
    two = make(tmp_path / "b", CARD | {"results": {}}, [{"step": 9, "split": "test", "psnr": 20.5}])
    text = page.render([once(tmp_path / "a", results={}), two])
    table = Parsed(text[text.index('<section id="once"') :].partition("</section>")[0])
    words = [word for word in table.texts if word.strip()]
    assert words[:5] == ["Measured once", "Metric", "split", "a", "b"]
    assert words[5:11] == ["psnr", "validation", "28.500", " at step 3", "\N{EM DASH}", "psnr"]
    assert words[11:16] == ["test", "27.250", " at step 3", "20.500", " at step 9"]


def test_a_metric_of_which_one_run_has_a_curve_stays_a_chart(tmp_path: Path) -> None:
    short = make(tmp_path / "a", lines=[{"step": 1, "split": "validation", "loss": 1.0}])
    long = make(
        tmp_path / "b", lines=[{"step": s, "split": "validation", "loss": 1.0} for s in (1, 2)]
    )
    assert [chart.once for chart in curves.charts(runs.read_all([short, long]))] == [False]
    assert [chart.once for chart in curves.charts(runs.read_all([short]))] == [True]
    assert 'id="once"' not in page.render([short, long])
    assert 'id="curves"' not in page.render([short])


@pytest.mark.parametrize("character", ["\u202e", "\u2066", "\u202a", "\u2069", "\u200f", "\u061c"])
def test_characters_that_change_the_direction_are_shown_by_name(
    tmp_path: Path, character: str
) -> None:
    name = f"model{character}gnp.exe"
    run = make(
        tmp_path / "a",
        CARD | {"about": name, "config": {"name": name}},
        [{"step": s, name: 1.0} for s in (1, 2)],
    )
    text = page.render([run])
    assert character not in text
    shown = f"model[U+{ord(character):04X}]gnp.exe"
    assert shown in Parsed(text).texts
    assert f"\\u{ord(character):04x}" not in text, "nor may the script write it"
    assert shown in [chart["name"] for chart in json.loads(Parsed(text).block)["charts"]]
