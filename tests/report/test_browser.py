"""The page in a browser, where one is installed: no word is broken that has room, and the script
draws without an error.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcore import samples
from dlcore.report import page
from dlcore.report.gallery import gallery
from dlcore.report.markup import el, join
from dlcore.report.runs import read_all
from dlcore.runs import sample_files
from dlcore.samples.boxes import Box, Boxes
from dlcore.samples.overlay import LabelMaps, outlined
from dlcore.tasks.captioning import Attention
from dlcore.tasks.question_answers import Evidence
from dlcore.tasks.tagging_samples import MarkedText
from tests.report.browser import seen
from tests.report.pages import make

CSS = (Path(page.__file__).parent / "page.css").read_text(encoding="utf-8")
LONG = (
    "The film is a long and winding walk through a life that nobody would care to lead, and it is"
    " told with so much patience. "
)


def declared(selector: str, name: str) -> list[str]:
    """The values of a property in the rules of exactly this selector."""
    rules = re.findall(rf"(?:^|\}})\s*{re.escape(selector)} \{{([^}}]*)\}}", CSS, re.MULTILINE)
    return [value for rule in rules for value in re.findall(rf"(?:^|;)\s*{name}: ([^;]*)", rule)]


@pytest.mark.quick
def test_cells_and_captions_break_a_word_only_where_it_does_not_fit() -> None:
    """`anywhere` makes a column as narrow as a letter: subjectiv/e. `break-word` leaves it as wide
    as its longest word.
    """
    assert declared("td", "overflow-wrap") == ["break-word"]
    assert declared("th, td", "overflow-wrap") == ["normal"]
    assert declared(".grid figcaption", "overflow-wrap") == ["break-word"]


@pytest.mark.quick
@pytest.mark.parametrize(
    ("caption", "kind"),
    [
        ("7, is 9", ""),
        ("Sneaker", " w80"),
        ("Pullover 50%", " w80"),
        ("T-shirt/top,", " w110"),
        ("a" * 16, " w140"),
        ("a" * 200, " w180"),
    ],
)
def test_columns_of_images_have_room_for_the_longest_word(
    tmp_path: Path, caption: str, kind: str
) -> None:
    run = make(tmp_path / "a")
    sample_files.save(run / "samples", [samples.Images("t", np.zeros((2, 4, 4)), (caption, ""))])
    found = re.search(r'class="(grid[^"]*)"', str(gallery(read_all([run]))))
    assert found is not None
    assert found[1] == f"grid n10 small{kind}"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A page with a wide table, pictures of each kind and marked texts, as a browser shows it."""
    folder = tmp_path_factory.mktemp("browser")
    head = ("text", "predicted", "probability", "true", "its probability")
    rows = (
        (LONG * 4, "subjective", 0.875, "subjective", 0.875),
        (LONG, "objective", 0.5, "subjective", 0.25),
    )
    words = ("Pullover 61%, is Sneaker 39%", "Sandal")
    run = make(folder / "run")
    sample_files.save(
        run / "samples",
        [
            samples.Table("Test", head, rows),
            samples.Images("i", np.zeros((2, 8, 8)), words, (False, True)),
            *pictures(),
            *marked(),
        ],
    )
    return seen(page.render([run]), folder)


def pictures() -> list[samples.Sample]:
    """Boxes, label maps, outlines, animations and attention: 2, 11, 1, 2 and 4 pictures."""
    images = np.random.default_rng(0).integers(0, 255, (2, 24, 32, 3), np.uint8)
    true = np.zeros((2, 24, 32), np.int32)
    true[:, 4:12, 4:20], true[:, 14:20, 6:12] = 1, 2
    box = Box((4, 4, 20, 12), "cat 0.97", "right")
    clips = [np.stack([np.roll(images[0], t + k, 1) for t in range(4)]) for k in range(2)]
    return [
        Boxes("Boxes", images, [[box], [box._replace(kind="missed")]], ("one", "none")),
        LabelMaps("Maps", images, true, true[::-1, ::-1], ("sky", "road", "tree"), ("1", "0.5")),
        samples.Images("Outlines", outlined(images[0], true[0], (255, 0, 0))[None]),
        samples.Animations("Videos", clips, ("given", "predicted")),
        Attention("Where it looks", images[1], ("a", "red", "cat"), np.eye(3, 16), "a cat"),
    ]


def marked() -> list[samples.Sample]:
    """Tagged sentences, the evidence of answers, and a text after its prompt."""
    text = "👋 Zoé Lee met Bob in Oslo."  # offsets count code points, a script's UTF-16 units
    name, other, place = (
        (text.index(w), text.index(w) + len(w)) for w in ("Zoé Lee", "Bob", "Oslo")
    )
    tags = (
        samples.Span(*name, "PER", 0),
        samples.Span(*other, "missed PER", "wrong"),
        samples.Span(*place, "LOC", 1),
    )
    answers = (
        samples.Span(*name, "true answer", 0),
        samples.Span(*other, "answer, 0.12", "wrong"),
        samples.Span(*place, "answer, 0.52", "right"),
    )
    return [
        MarkedText("Test sentences with their spans", text, tags),
        Evidence("Where is Zoé? Oslo", text, answers),
        samples.Text("Answer", " Good day.", "👋 Hello."),
    ]


@pytest.mark.slow
def test_no_word_is_broken(shown: dict[str, Any]) -> None:
    assert shown["broken"] == []


@pytest.mark.slow
def test_the_script_draws_the_charts(shown: dict[str, Any]) -> None:
    (chart,) = re.findall(
        r'<figure data-chart="0" class="chart live">.*?</figure>', shown["document"], re.DOTALL
    )
    assert re.findall(r'<text class="ty"[^>]*>([^<]*)</text>', chart) == ["0", "0.5", "1.0"]
    assert "step" in chart


@pytest.mark.slow
def test_every_picture_is_in_the_page_and_is_shown(shown: dict[str, Any]) -> None:
    """As a single file that loads nothing, under its own policy."""
    assert shown["outside"] == []
    assert shown["empty"] == []
    assert shown["images"] == 2 + 2 + 11 + 1 + 2 + 4
    assert shown["gifs"] == 2


@pytest.mark.slow
def test_marked_spans_are_highlighted_where_they_are(shown: dict[str, Any]) -> None:
    """Each with its label; right, wrong and both kinds look different."""
    found = [(text, label) for text, label, _ in shown["marks"]]
    assert found == [
        ("Zoé Lee", "PER"),
        ("Bob", "missed PER"),
        ("Oslo", "LOC"),
        ("Zoé Lee", "true answer"),
        ("Bob", "answer, 0.12"),
        ("Oslo", "answer, 0.52"),
        ("👋 Hello.", ""),
    ]
    kind, wrong, other, same, bad, right, prompt = (look for _, _, look in shown["marks"])
    assert (same, bad) == (kind, wrong)
    assert len({kind, other, wrong, right, prompt, ""}) == 6


@pytest.mark.nightly
def test_a_mark_without_a_colour_is_noticed(tmp_path: Path) -> None:
    """What the test above looks at is seen where it is wrong."""
    spans = [el("span", name, class_=f"span {name}") for name in ("k0", "right", "nothing")]
    found = seen(page.document("Marks", el("div", spans, class_="text")), tmp_path)
    assert [text for text, _, look in found["marks"] if not look] == ["nothing"]


@pytest.mark.nightly
def test_a_picture_that_is_damaged_or_elsewhere_is_noticed(tmp_path: Path) -> None:
    """What the test above looks at is seen where it is wrong."""
    sources = {"bad": "data:image/png;base64,AAAA", "far": "http://127.0.0.1:9/a.png", "near": "a"}
    body = join([el("img", src=source, alt=name) for name, source in sources.items()])
    found = seen(page.document("Pictures", body), tmp_path)
    assert sorted(found["empty"]) == ["bad", "far", "near"]
    assert {"http://127.0.0.1:9/a.png", (tmp_path / "a").as_uri()} <= {*found["outside"]}
    assert found["images"] == 3
