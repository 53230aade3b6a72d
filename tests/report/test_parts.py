"""Samples and the card of a page one by one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from dlcore import samples
from dlcore.report import gallery, page, parts, runs
from dlcore.runs import sample_files
from tests.report.pages import CARD, make
from tests.report.test_head import words

pytestmark = pytest.mark.quick


def shown(folder: Path, *entries: samples.Sample) -> str:
    run = make(folder)
    sample_files.save(run / "samples", entries)
    return str(gallery.gallery(runs.read_all([run])))


def test_a_confusion_matrix_is_shaded_by_row_and_its_diagonal_marked(tmp_path: Path) -> None:
    table = samples.Table("m", ("true", "a", "b"), (("a", 8, 2), ("b", 0, 0)))
    text = shown(tmp_path / "a", table)
    assert 'class="matrix"' in text
    assert re.findall(r'<td class="([^"]*)">', text) == ["n h9 diagonal", "n h2", "n", "n diagonal"]
    for other in (
        (("a", 8, -2), ("b", 0, 0)),
        (("a", 8, "x"), ("b", 0, 0)),
        (("a", 8, 2), ("c", 0, 0)),
        (("a", 8, float("inf")), ("b", 0, 0)),
    ):
        plain = shown(tmp_path / "b", samples.Table("m", ("true", "a", "b"), other))
        assert "matrix" not in plain
        assert "diagonal" not in plain
    assert "matrix" not in shown(tmp_path / "c", samples.Table("m", ("true", "a"), (("a", 8),)))


def test_numbers_of_a_table_stand_to_the_right(tmp_path: Path) -> None:
    text = shown(
        tmp_path / "a",
        samples.Table("t", ("name", "number", "mixed"), (("x", 1.5, 2), ("y", 2, "z"))),
    )
    assert re.findall(r"<th scope=\"col\"( class=\"n\")?>(\w+)", text) == [
        ("", "name"),
        (' class="n"', "number"),
        ("", "mixed"),
    ]
    assert re.findall(r'<td class="([^"]*)">([^<]*)', text) == [
        ("n", "1.500"),
        ("n", "2"),
        ("n", "2"),
        ("t", "z"),
    ]


@pytest.mark.slow
def test_grids_say_how_many_are_right_left_out_and_clipped(tmp_path: Path) -> None:
    many = samples.Images(
        "i", np.full((parts.MOST + 1, 2, 2), 1.5), right=(True,) * 400 + (False,), columns=30
    )
    text = shown(tmp_path / "a", many)
    assert (
        f"400 of 401 right · the first 400 of 401 images · {401 * 4:,} values were outside [0, 1]"
        " or not finite and are clipped" in text
    )
    assert text.count("<img") == parts.MOST
    assert 'class="grid n20 small"' in text
    plain = shown(tmp_path / "b", samples.Images("i", np.zeros((2, 97, 2)), columns=0))
    assert 'class="grid n1 bare"' in plain
    assert 'class="hint"' not in plain
    assert re.findall(r'alt="([^"]*)"', plain) == ["i, 1", "i, 2"]


def test_captions_and_marks(tmp_path: Path) -> None:
    text = shown(
        tmp_path / "a", samples.Images("i", np.zeros((2, 2, 2)), ("one", ""), (True, False))
    )
    mark = r'.*?>(.)</b><span class="unseen">(\w+): </span><span dir="auto">(\w*)'
    found = re.findall(r'<figure class="(\w+)">.*?alt="([^"]*)"' + mark, text)
    assert found == [("right", "one", "✓", "right", "one"), ("wrong", "i, 2", "✕", "wrong", "")]


def test_a_text_follows_its_prompt(tmp_path: Path) -> None:
    text = shown(tmp_path / "a", samples.Text("t", "goes on", "It "), samples.Text("u", "alone"))
    assert '<span class="prompt">It </span><span>goes on</span>' in text
    assert '<div class="text" dir="auto"><span>alone</span>' in text


def test_samples_of_one_title_and_form_are_in_one_row_each(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b")
    sample_files.save(first / "samples", [samples.Text("t", "1"), samples.Text("t", "2")])
    sample_files.save(second / "samples", [samples.Text("t", "3")])
    text = str(gallery.gallery(runs.read_all([first, second])))
    articles = [words(part) for part in re.findall(r'<article class="sample">.*?</article>', text)]
    assert articles == [["t", "a", "1", "b", "3"], ["t", "a", "2"]]
    assert gallery.gallery(runs.read_all([make(tmp_path / "c")])) is None


def test_the_card_shows_its_data_and_the_command(tmp_path: Path) -> None:
    text = page.render([make(tmp_path / "a")])
    card = words(text[text.index('<section id="card"') :].partition("</section>")[0])
    assert card[:2] == ["Card", "Train it again"]
    assert card[2].startswith("dlcore train mlp_digits")
    assert card[3:16] == [
        "Data",
        "used as",
        "name",
        "version",
        "split",
        "examples",
        "fingerprint",
        "train",
        "digits",
        "1",
        "train",
        "7",
        "ab" * 8,
    ]
    assert card[16] == "card.json"
    assert json.loads(card[17]) == CARD
    bare = page.render([make(tmp_path / "b", {"data": {"x": 3}})])
    assert "Train it again" not in bare
    assert "used as" not in bare


def test_labels_tell_runs_apart(tmp_path: Path) -> None:
    def labels(*folders: str, **experiments: str) -> list[str]:
        paths = [
            make(
                tmp_path / name, CARD | {"experiment": experiments.get(name.replace("/", "_"), "e")}
            )
            for name in folders
        ]
        return [run.label for run in runs.read_all(paths)]

    assert labels("x/1", "x/2") == ["1", "2"]
    assert labels("x/1", "y/1") == ["x/1", "y/1"]
    assert labels("x/1", "x/2", x_1="other") == ["other/1", "e/2"]
    assert labels("p/x/1", "q/x/1") == ["x/1 (1)", "x/1 (2)"]
    assert labels("x/1", "x/1") == ["1"], "each folder once"
