"""The section on what is wrong: what it says, what it draws, and that a stranger's diagnostics
become no markup.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from dlcore.analysis.diagnosis_summary import GENERAL, HEALTHY, Row, write
from dlcore.report import page
from dlcore.report.diagnosis import diagnosis
from dlcore.report.runs import read_all
from tests.report.pages import Parsed, make

pytestmark = pytest.mark.quick

SOUND = [
    Row("Dense_0/bias", 1e-3, 0.0, 1e-6, 0, 0),
    Row("Dense_0/kernel", 1e-2, 2.0, 2e-3, 64, 3),
    Row("Dense_1/kernel", 1.0, 4.0, 4e-3, 10, 0),
]
SICK = [Row("Dense_0/kernel", 1e-8, 2.0, 1e-3, 64, 0), Row("Dense_1/kernel", 1.0, 4.0, 2.0, 10, 0)]


def section(*folders: Path) -> str:
    return str(diagnosis(read_all(folders)) or "")


def words(text: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", text).split())


def test_the_last_diagnosis_and_the_first_trouble_are_shown(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    assert section(run) == ""
    write(run, 10, {"net": SICK})
    write(run, 1000, {"net": SOUND})
    text = words(section(run))
    assert f"Step 1,000: {HEALTHY}" in text
    assert "Earlier, at step 10: Gradients vanish from Dense_0/kernel down" in text
    assert "Update-to-weight ratio of Dense_1/kernel is 0.5: the rate is too high." in text
    assert "3 of 64" in text
    assert "1 biases and scales" in text
    assert 'class="wrong"' not in section(run)
    write(run, 2000, {"net": SICK})
    assert 'class="wrong"' in section(run)
    assert "0.5000" in words(section(run)), "the largest ratio so far"


def test_bars_are_logarithmic(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    rows = [
        Row(f"Dense_{i}/kernel", grad, 1.0, 1e-3, 8, 0)
        for i, grad in enumerate((1e-4, 1e-2, 1.0, 0.0, math.nan))
    ]
    write(run, 5, {"net": rows})
    lengths = [float(x) for x in re.findall(r'class="measure" d="M0 0h([\d.]+)v', section(run))]
    assert lengths == [1.0, 75.0, 150.0]  # zero and NaN have no bar
    assert "bars from 1e-4 to 1e0" in section(run)


def test_two_objectives_and_two_runs_are_distinguished(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    write(one, 5, {"disc": SOUND, "gen": SICK})
    write(two, 7, {"disc": SICK})
    alone, both = words(section(one)), words(section(one, two))
    assert alone.index("disc") < alone.index("gen")
    assert "Step 5" in both
    assert "Step 7" in both
    assert "dead units" in alone
    assert "<h3>disc</h3>" in section(one)
    assert "swatch" not in section(one), "one run needs no name, nor does one objective"
    assert "<h3>disc</h3>" not in section(two)
    assert section(one, two).count("swatch") == 3
    assert "dead units" not in both, "of several runs the sentences alone"


def test_damage_and_strange_names_stay_text(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    write(run, 5, {"<b>": [Row("<script>alert(1)</script>", 1.0, 1.0, 0.5, 4, 0)]})
    with (run / "diagnostics.jsonl").open("a") as file:
        file.write(
            json.dumps({"step": 6, "objective": "net", "tensors": [{"name": "<i>"}]})
            + "\nnonsense\n"
        )
    whole = page.render([run])
    assert "<script>alert" not in whole
    assert "damaged and left out: 2 lines" in " ".join(Parsed(whole).texts)
    assert "<script>alert(1)</script>" in " ".join(Parsed(whole).texts)


def losses(train: list[float], validation: list[float], **more: float) -> list[dict[str, object]]:
    """Lines of metrics: a training loss a step, and a validation loss every second step."""
    lines: list[dict[str, object]] = [
        {"step": s, "split": "train", "net/loss": v} for s, v in enumerate(train, 1)
    ]
    return lines + [
        {"step": 2 * i, "split": "validation", "loss": v} | more
        for i, v in enumerate(validation, 1)
    ]


def test_overfitting_is_reported_without_any_diagnostics(tmp_path: Path) -> None:
    run = make(tmp_path / "run", lines=losses([3.0, 2.0, 1.0, 0.8, 0.2, 0.1], [2.0, 1.0, 1.5]))
    text = section(run)
    assert (
        "Overfitting since step 4: the validation loss rose from 1 to 1.5, while the training loss"
        " fell from 0.9 to 0.15." in text
    )
    assert 'class="wrong"' in text
    sound = make(tmp_path / "sound", lines=losses([3.0, 2.0, 1.0, 0.8, 0.5, 0.4], [2.0, 1.0, 0.9]))
    assert GENERAL in words(section(sound))
    assert 'class="wrong"' not in section(sound)
    both = words(section(run, sound))
    assert both.index("Overfitting since") < both.index(GENERAL)


def test_overfitting_stands_beside_the_gradients_of_the_same_run(tmp_path: Path) -> None:
    run = make(tmp_path / "run", lines=losses([3.0, 2.0, 1.0, 0.8, 0.2, 0.1], [2.0, 1.0, 1.5]))
    write(run, 6, {"net": SOUND})
    assert words(section(run)).index("Overfitting since step 4") < words(section(run)).index(
        HEALTHY
    )


def test_objectives_that_work_against_each_other_do_not_overfit(tmp_path: Path) -> None:
    lines = losses([3.0, 2.0, 1.0, 0.8, 0.2, 0.1], [2.0, 1.0, 1.5])
    assert (
        section(
            make(tmp_path / "run", lines=[*lines, {"step": 1, "split": "train", "other/loss": 1.0}])
        )
        == ""
    )
