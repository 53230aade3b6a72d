"""Drawings: what a figure needs passes, and nothing that acts, loads or multiplies does."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dlcore.report import page
from dlcore.runs import sample_files
from dlcore.samples import svg
from tests.report.pages import Parsed, make

pytestmark = pytest.mark.quick

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'


def cleaned(body: str) -> str:
    return svg.clean(f"{HEAD}{body}</svg>".encode())


MATPLOTLIB = """<?xml version="1.0" encoding="utf-8" standalone="no"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"
  "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="460.8pt" height="345.6pt"
 viewBox="0 0 460.8 345.6" xmlns="http://www.w3.org/2000/svg" version="1.1">
 <metadata><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></metadata>
 <defs><style type="text/css">*{stroke-linejoin: round; stroke-linecap: butt}</style></defs>
 <g id="figure_1">
  <path d="M 0 345.6 L 460.8 0 z" style="fill: #ffffff"/>
  <defs><path id="m0db9" d="M 0 0 L 0 3.5" style="stroke: #000000; stroke-width: 0.8"/></defs>
  <use xlink:href="#m0db9" x="73.8" y="307.5" style="stroke: #000000"/>
  <path d="M 1 2 L 3 4" clip-path="url(#p77)" style="fill: none; stroke: #1f77b4"/>
  <text style="font: 10px 'DejaVu Sans', sans-serif; text-anchor: middle" x="3">loss &lt; 1</text>
 </g>
 <defs><clipPath id="p77"><rect x="57.6" y="41.4" width="357" height="266"/></clipPath></defs>
</svg>
"""


def test_a_matplotlib_figure_keeps_its_looks() -> None:
    root = ET.fromstring(svg.clean(MATPLOTLIB.encode()))
    name = f"{{{svg.NAMESPACE}}}"
    assert (root.get("width"), root.get("viewBox")) == ("460.8pt", "0 0 460.8 345.6")
    assert (root.get("stroke-linejoin"), root.get("stroke-linecap")) == ("round", "butt")
    background, marker, line = root.iter(f"{name}path")
    assert background.get("fill") == "#ffffff"
    assert (marker.get("stroke"), marker.get("stroke-width")) == ("#000000", "0.8")
    assert (line.get("fill"), line.get("stroke")) == ("none", "#1f77b4")
    assert line.get("d") == "M 1 2 L 3 4"
    (use,) = root.iter(f"{name}use")
    (clip,) = root.iter(f"{name}clipPath")
    assert use.get("href") == f"#{marker.get('id')}"
    assert line.get("clip-path") == f"url(#{clip.get('id')})"
    (text,) = root.iter(f"{name}text")
    assert text.text == "loss < 1"
    assert (text.get("font-size"), text.get("text-anchor")) == ("10px", "middle")
    assert text.get("font-family") == "'DejaVu Sans', sans-serif"
    assert not list(root.iter(f"{name}metadata"))
    assert not list(root.iter(f"{name}style"))


def test_identifiers_do_not_depend_on_their_names() -> None:
    other = MATPLOTLIB.replace("m0db9", "mffff").replace("p77", "p0")
    assert svg.clean(other.encode()) == svg.clean(MATPLOTLIB.encode())


def test_cleaning_twice_changes_nothing() -> None:
    once = svg.clean(MATPLOTLIB.encode())
    assert svg.clean(once.encode()) == once


HARMLESS = {
    "script": "<script>alert(1)</script>",
    "script in another case": "<SCRIPT>alert(1)</SCRIPT><Script href='x.js'/>",
    "script of another namespace": "<h:script xmlns:h='http://www.w3.org/1999/xhtml'>a</h:script>",
    "event handler": "<rect onload='alert(1)' onclick='alert(1)' ONMOUSEOVER='alert(1)'/>",
    "foreign object": "<foreignObject><iframe src='http://evil'/></foreignObject>",
    "html": "<img xmlns='http://www.w3.org/1999/xhtml' src='x' onerror='alert(1)'/>",
    "link": "<a href='javascript:alert(1)'><rect/></a>",
    "external use": "<use href='http://evil/x.svg#a'/><use xlink:href='//evil#a'/>",
    "data use": "<use href='data:image/svg+xml;base64,PHN2Zz4=#a'/>",
    "javascript with white space": "<use href='  java\nscript:alert(1)'/>",
    "image": "<image href='http://evil/pixel.png'/><image xlink:href='file:///etc/passwd'/>",
    "animated link": "<set attributeName='href' to='javascript:alert(1)'/><animate values='evil'/>",
    "style sheet": "<style>@import url(http://evil); * {fill: url(http://evil)}</style>",
    "style for all": "<style>*{fill: url(http://evil); stroke: u\\72l(//evil)}</style>",
    "url in a style": "<rect style='fill: url(http://evil#a)'/>",
    "escaped url": "<rect style='fill: u\\72l(http://evil)' fill='\\75rl(//evil)'/>",
    "commented url": "<rect style='fill: ur/**/l(http://evil)' stroke='url/**/(//evil)'/>",
    "url in an attribute": "<rect fill='URL(http://evil#x)' clip-path='url(\"//evil#x\")'/>",
    "url with two targets": "<rect fill='url(#a) url(http://evil)'/>",
    "image function": "<rect fill='image(evil)' stroke='image-set(evil)' color='src(evil)'/>",
    "filter and mask": "<rect filter='url(//evil#f)' mask='url(//evil#m)' cursor='url(//evil)'/>",
    "web font": "<font-face><font-face-uri href='http://evil'/></font-face>",
    "processing instruction": "<?xml-stylesheet href='http://evil/a.css'?>",
    "base": "<rect xml:base='http://evil/'/>",
    "markup in text": "<text>&lt;/svg&gt;&lt;script&gt;alert(1)&lt;/script&gt;</text>",
    "markup in an attribute": "<rect id='&quot;&gt;&lt;script&gt;' fill='&quot;&gt;&lt;a'/>",
    "comment": "<!-- --><!--><script>alert(1)</script>-->",
    "cdata": "<text><![CDATA[</text></svg><script>alert(1)</script>]]></text>",
    "handler in text": "<title><g onload='alert(1)'/></title>",
    "clobbered name": "<g id='curves-data'/><g id='__proto__'/>",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_attacks_are_left_out(name: str) -> None:
    result = cleaned(HARMLESS[name])
    root = ET.fromstring(result)
    for element in root.iter():
        assert element.tag.removeprefix(f"{{{svg.NAMESPACE}}}") in svg._TAGS
        for attribute, value in element.attrib.items():
            assert attribute in svg._STYLE | svg._GEOMETRY | {"id", "href"}
            assert not re.search(r"evil|alert|script|[:/\\<>]", value)
            assert "(" not in value
    assert "<script" not in result
    assert "curves-data" not in result


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not well-formed"),
        (b"<svg", "not well-formed"),
        (f"{HEAD}<g></svg>".encode(), "not well-formed"),
        (f"{HEAD}&nbsp;</svg>".encode(), "not well-formed"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8"),
        (f"{HEAD}</svg>".encode("utf-16"), "not UTF-8"),
        (b"<html/>", "outermost element"),
        (b'<svg xmlns="http://www.w3.org/1999/xhtml"/>', "outermost element"),
        (b'<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', "declares"),
        (b'<!DOCTYPE svg SYSTEM "file:///x" [<!ENTITY % a SYSTEM "x">]><svg/>', "declares"),
        (b"<!DOCTYPE svg><!DOCTYPE svg [<!ENTITY a SYSTEM 'x'>]><svg>&a;</svg>", "declares"),
        (b"<!doctype html><svg/>", "declares"),
        (b" " * (svg.BYTES + 1), "bytes exceed"),
        (f"{HEAD}{'<g/>' * 9}<text>{'a>' * (svg.BYTES // 2 - 99)}</text></svg>".encode(), "once"),
        (f"{HEAD}{'<g>' * 70}{'</g>' * 70}</svg>".encode(), "nested deeper"),
        (f"{HEAD}{'<g>' * 99_999}{'</g>' * 99_999}</svg>".encode(), "nested deeper"),
        (f"{HEAD}{'<g/>' * svg.ELEMENTS}</svg>".encode(), "more than 100,000 elements"),
    ],
)
def test_what_cannot_be_cleaned_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        svg.clean(content)


def test_repetition_is_bounded() -> None:
    """Ten levels of ten references each would draw ten thousand million rectangles."""
    repeats = [f"<use href='#l{i}'/>" * 10 for i in range(10)]
    levels = "".join(f"<g id='l{i + 1}'>{uses}</g>" for i, uses in enumerate(repeats))
    result = cleaned(f"<g id='l0'><rect/></g>{levels}<use href='#self' id='self'/>")
    assert result.count("<use") == 10  # those of the first level alone
    flat = f"<g id='a'>{'<rect/>' * 1000}</g>" + "<use href='#a'/>" * 101
    with pytest.raises(svg.TooLargeError, match="repeats more than"):
        cleaned(flat)
    nested = "<pattern id='a'><rect fill='url(#a)' clip-path='url(#b)'/><use href='#c'/></pattern>"
    assert "#" not in cleaned(f"{nested}<rect id='c'/>")


def test_a_drawing_of_a_foreign_run_is_cleaned_again(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    folder = run / "samples"
    folder.mkdir()
    (folder / "a.svg").write_text(f"{HEAD}<script>alert(1)</script><rect width='7'/></svg>")
    (folder / "b.svg").write_text("<!DOCTYPE svg [<!ENTITY a 'b'>]><svg/>")
    (folder / "index.json").write_text(
        '{"version": 2, "samples": [{"title": "t", "parts": '
        '[{"part": "svg", "file": "a.svg"}, {"part": "svg", "file": "b.svg"}]}]}'
    )
    parsed = Parsed(page.render([run]))
    (source,) = [value for value in parsed.values if value.startswith("data:image/svg+xml")]
    drawing = base64.b64decode(source.partition(",")[2]).decode()
    assert drawing == '<svg xmlns="http://www.w3.org/2000/svg"><rect width="7" /></svg>'
    assert any("declares a document type" in text for text in parsed.texts)
    assert sample_files.load(folder)[0]["parts"][0]["file"] == "a.svg"
