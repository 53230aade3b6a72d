"""The page in a browser, where one is installed: no word is broken that has room, and the script
draws without an error.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dlcore import samples
from dlcore.report import page
from dlcore.report.gallery import gallery
from dlcore.report.runs import read_all
from dlcore.runs import sample_files
from tests.report.pages import make

CSS = (Path(page.__file__).parent / "page.css").read_text(encoding="utf-8")
LONG = (
    "The film is a long and winding walk through a life that nobody would care to lead, and it is"
    " told with so much patience. "
)
MEASURE = """
const broken = [];
for (const cell of document.querySelectorAll("td, th, figcaption span")) {
  const nodes = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (nodes.nextNode())
  for (const found of nodes.currentNode.textContent.matchAll(/[A-Za-z]+/g)) {
    const range = document.createRange();
    range.setStart(nodes.currentNode, found.index);
    range.setEnd(nodes.currentNode, found.index + found[0].length);
    const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
    if (lines.size > 1) broken.push(found[0]);
  }
}
document.body.dataset.broken = JSON.stringify(broken);
"""


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
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The document of a page with a wide table and a grid of captions, after its script and MEASURE
    have run in 700 pixels.
    """
    browser = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if browser is None:
        pytest.skip("no Chromium is installed: how a browser shows the page is not looked at")
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
        ],
    )
    # Another script needs another policy, which is all that differs from what a person opens.
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    text = policy.sub("", page.render([run])).replace(
        "</body>", f"<script>{MEASURE}</script></body>"
    )
    (folder / "page.html").write_text(text, encoding="utf-8")
    words = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-sync",
        "--disable-component-update",
        f"--user-data-dir={folder / 'profile'}",
        "--window-size=700,900",
    )
    command = [browser, *words, "--dump-dom", (folder / "page.html").as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.slow
def test_no_word_is_broken(shown: str) -> None:
    assert 'data-broken="[]"' in shown


@pytest.mark.slow
def test_the_script_draws_the_charts(shown: str) -> None:
    (chart,) = re.findall(
        r'<figure data-chart="0" class="chart live">.*?</figure>', shown, re.DOTALL
    )
    assert re.findall(r'<text class="ty"[^>]*>([^<]*)</text>', chart) == ["0", "0.5", "1.0"]
    assert "step" in chart
