"""What a report shows of a detector, whatever the number of detections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcore.metrics.detection import Matches
from dlcore.samples import PartWriter
from dlcore.tasks import detection_samples


def curve(correct: list[bool] | np.ndarray) -> Any:
    """The curve of detections in descending order of confidence, all of one class."""
    zeros = np.zeros(len(correct), int)
    matched = Matches(zeros, zeros, zeros + 0.5, zeros, np.asarray(correct), len(correct))
    return detection_samples._curve("Scenes", matched, ["cat", "dog"])


def test_a_curve_has_few_points_however_many_detections_there_are(tmp_path: Path) -> None:
    every, of_class = curve([True, True, False, True]).series
    assert (every.name, of_class.name) == ("all", "cat")
    assert every.y[[0, -1]].tolist() == [1, 0.75]
    assert every.y.min() == pytest.approx(2 / 3, abs=1e-2)
    assert (every.y[every.x < 2 / 3] == 1).all()
    many = curve(np.arange(300_000) % 2 == 0)
    (part,) = many.parts(PartWriter(tmp_path, 0, many.title))
    assert sum(len(each["x"]) for each in part["series"]) < 1000
    assert many.series[0].y[-1] == pytest.approx(0.5, abs=1e-3)
