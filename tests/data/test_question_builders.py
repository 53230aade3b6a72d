"""SQuAD's questions and bAbI's stories: prepared without TensorFlow, and what is read back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from dlcore.data import tfds
from dlcore.data.builders import babi_v12, squad_v11_dev
from dlcore.data.prepare import prepare

FOLDER = Path(__file__).parents[2] / "../shared/data"


def given(name: str) -> pytest.MarkDecorator:
    missing = not (FOLDER / name).is_dir()
    return pytest.mark.skipif(missing, reason=f"needs shared/data/{name}")


@pytest.mark.slow
@given("squad_v11_dev")
def test_every_answer_is_where_its_offset_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    name = squad_v11_dev.Builder.name
    prepare(name, manual_dir=FOLDER / name)
    found = tfds.columns(name, "dev")
    assert len(found["context"]) == 2067
    assert len({*found["article"]}) == 48
    count = 0
    for context, text in zip(found["context"], found["questions"], strict=True):
        for question, answers in json.loads(text):
            count += 1
            assert question
            assert all(context[start:].startswith(answer) for answer, start in answers)
    assert count == 10_570


@pytest.mark.nightly
@given("babi_v12")
def test_every_task_has_its_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    name = babi_v12.Builder.name
    prepare(name, manual_dir=FOLDER / name)
    for split, each in {"train": 1000, "test": 1000, "train_10k": 10_000}.items():
        found = tfds.columns(name, split)
        count: Counter[int] = Counter()
        for task, story in zip(found["task"], found["story"], strict=True):
            assert story.startswith("1 ")
            count[int(task)] += sum("\t" in line for line in story.splitlines())
        tasks = {*range(1, 21)} - ({3} if split == "train_10k" else set())
        assert count == dict.fromkeys(tasks, each), split
