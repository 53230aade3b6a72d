"""A run's curves as one SVG file that stands alone, such as the picture of README.md."""

from __future__ import annotations

import sys
from pathlib import Path

from dlcore.errors import UsageError
from dlcore.report import curves, drawing
from dlcore.report.markup import Html, el
from dlcore.report.runs import Run, read

_WIDTH, _HEIGHT, _TOP = 440, 220, 30  # of a chart, and of its title
_STYLE = """
text{font:12px system-ui,sans-serif;fill:#5a606b}.title{font-weight:600;fill:#1b1d21}
.ty{text-anchor:end}.tx{text-anchor:middle}.rule{stroke:#e3e3df}path{fill:none}
.line{stroke:var(--c);stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.faint{opacity:.26;stroke-dasharray:none!important}.gone{stroke:var(--c)}
.reference{stroke:#5a606b;stroke-dasharray:1 4}
.d1{stroke-dasharray:6 5}.d2{stroke-dasharray:1 4.5}.d3{stroke-dasharray:9 4 1 4}
.k0{--c:#0072b2}.k1{--c:#d55e00}.k2{--c:#00835f}.k3{--c:#a9468a}
"""


def svg(run: Run, names: list[str]) -> Html:
    """Draws charts of a run side by side, with titles and a legend of the splits.

    Args:
        run: with its curves.
        names: of the charts, as the report names them.

    Raises:
        UsageError: the run has no such chart, or its metric was measured once only.
    """
    drawn = {chart.name: chart for chart in curves.charts([run]) if not chart.once}
    if missing := [name for name in names if name not in drawn]:
        raise UsageError(f"{run.label} has no curves of {missing[0]}: it has {', '.join(drawn)}")
    splits = curves.splits([run])
    parts: list[object] = [
        el("style", Html(_STYLE)),
        el("rect", width="100%", height="100%", rx=8, fill="#fff"),
    ]
    for i, name in enumerate(names):
        parts.append(el("text", name, class_="title", x=i * _WIDTH + 16, y=20))
        present = sorted({curve.split for curve in drawn[name].curves})
        for place, split in enumerate(present):
            look, x = f"k{split % 8} d{min(split, 3)}", i * _WIDTH + 120 + place * 105
            parts += [
                el("path", class_=f"line {look}", d=f"M{x} 16h24"),
                el("text", splits[split], x=x + 30, y=20),
            ]
        move = f"translate({i * _WIDTH} {_TOP})"
        parts.append(el("g", Html(_inner(drawing.svg(drawn[name], 1))), transform=move))
    size = f"0 0 {_WIDTH * len(names) + 16} {_HEIGHT + _TOP}"
    title = f"{' and '.join(names)} of {run.label} by step"
    address = "http://www.w3.org/2000/svg"
    return el("svg", *parts, xmlns=address, viewBox=size, role="img", aria_label=title)


def _inner(drawn: Html) -> str:
    """The contents of an svg element."""
    return drawn[drawn.index(">") + 1 : drawn.rindex("<")]


# python -m dlcore.report.picture RUN FILE.svg CHART ...
if __name__ == "__main__":
    try:
        Path(sys.argv[2]).write_text(svg(read(Path(sys.argv[1])), sys.argv[3:]) + "\n", "utf-8")
    except (UsageError, OSError) as error:
        sys.exit(f"dlcore: {error}")
