"""Prepared dialogues: every one in one split, and those that begin alike together."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcore.data import tfds
from dlcore.data.builders import sgd_dialogue, taskmaster4, taskmaster4_rewards
from dlcore.data.builders.files import same_contents
from dlcore.data.own.dialogues import Message, parse
from dlcore.data.prepare import prepare
from dlcore.errors import UsageError

FOLDER = Path(__file__).parents[2] / "../shared/data"
SPLITS = ("train", "validation", "test")
needs_files = pytest.mark.skipif(
    not (FOLDER / "taskmaster4").is_dir(), reason=f"needs {FOLDER}/taskmaster4"
)


def test_turns_are_messages() -> None:
    turns = [{"speaker": "USER", "utterance": "Hi"}, {"speaker": "SYSTEM", "utterance": "Yes?"}]
    found = parse(sgd_dialogue.messages({"turns": turns}))
    assert found == [Message("user", "Hi"), Message("assistant", "Yes?")]
    utterances = [{"speaker": "user", "text": " tea "}, {"speaker": "assistant", "text": " "}]
    assert taskmaster4.spoken({"utterances": utterances}) == [Message("user", "tea")]
    example = {
        "context": '[{"role": "user", "text": "tea"}, {"role": "agent", "api": {"a": 1}},'
        ' {"role": "api", "response": {"b": 2}}]',
        "generation": '{"role": "agent", "text": "Sure"}',
    }
    assert taskmaster4_rewards.answered(example) == [
        Message("user", "tea"),
        Message("assistant", '{"a": 1}'),
        Message("tool", '{"b": 2}'),
        Message("assistant", "Sure"),
    ]


def test_missing_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be given"):
        same_contents(tmp_path, "*.gz", "0", "some")
    (tmp_path / "a.gz").write_bytes(b"a")
    with pytest.raises(UsageError, match="are not those that the set is made of"):
        same_contents(tmp_path, "*.gz", "0", "some")


@needs_files
@pytest.mark.slow
def test_every_rewarded_answer_is_in_one_split_with_its_dialogue(tmp_path: Path) -> None:
    prepare("taskmaster4_rewards", data_dir=tmp_path, manual_dir=FOLDER / "taskmaster4")
    found = {s: tfds.columns("taskmaster4_rewards", s, data_dir=tmp_path) for s in SPLITS}
    assert sum(len(columns["reward"]) for columns in found.values()) == 3228
    assert sum(int(r) for columns in found.values() for r in columns["reward"]) == 2775
    begins = {
        split: {taskmaster4.first(parse(text)) for text in columns["messages"]}
        for split, columns in found.items()
    }
    assert not begins["train"] & begins["test"]
    assert not begins["train"] & begins["validation"]
