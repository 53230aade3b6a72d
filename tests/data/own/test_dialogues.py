"""Dialogues of one's own: JSON lines that are read, and those that are refused by file and line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dlcore.cli import main as cli
from dlcore.data.own import dialogues
from dlcore.data.own.dialogues import Message
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick
HELLO = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day, né?"}]


def write(path: Path, *rows: object) -> Path:
    """Writes JSON lines."""
    lines = [row if isinstance(row, str) else json.dumps({"messages": row}) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_folder_is_read_by_split_and_messages_survive_json(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("validation", 1), ("test", 2)):
        write(tmp_path / f"{split}.jsonl", *[HELLO] * count, "")
    found, read = dialogues.load(tmp_path)
    assert {split: len(each) for split, each in read.items()} == {
        "train": 3,
        "validation": 1,
        "test": 2,
    }
    assert read["train"][0] == [Message("user", "Hello"), Message("assistant", "Good day, né?")]
    assert dialogues.parse(dialogues.to_json(read["test"][1])) == read["test"][1]
    assert found.named("test") == "test"


def test_missing_splits_are_cut_by_the_hash_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    rows = [[HELLO[0], {"role": "assistant", "content": f"number {i}"}] for i in range(60)]
    file = write(tmp_path / "mine.jsonl", *rows)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    found, read = dialogues.load(file)
    assert sum(map(len, read.values())) == 60
    assert found.named("validation") == "validation by hash"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "not JSON"),
        ("[]", "there is no list `messages`"),
        ('{"messages": []}', "there is no list `messages`"),
        ('{"text": "Hello"}', "there is no list `messages`"),
        ([HELLO[0], "Hello"], "message 2 is a str, and no JSON object"),
        ([{"role": "bot", "content": "Hello"}], "message 1 has the role 'bot'"),
        ([HELLO[0], {"role": "assistant", "content": " "}], "message 2 has no text"),
        ([HELLO[0], {"role": "assistant"}], "message 2 has no text"),
        (
            '{"messages": [{"role": "user", "content": "\\ud83d"}]}',
            "has half of a character (the lone surrogate '\\ud83d') at position 0",
        ),
        ([HELLO[1], HELLO[0]], "there is no answer to learn from"),
    ],
)
def test_a_broken_line_is_refused_with_file_and_line(
    tmp_path: Path, row: object, message: str
) -> None:
    file = write(tmp_path / "mine.jsonl", HELLO, row, HELLO)
    with pytest.raises(UsageError) as refused:
        dialogues.load(tmp_path)
    assert f"{file}, line 2: " in str(refused.value)
    assert message in str(refused.value)


def test_a_split_of_a_line_is_refused(tmp_path: Path) -> None:
    messages = '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]'
    write(tmp_path / "mine.jsonl", f'{{"messages": {messages}, "split": "test"}}')
    with pytest.raises(UsageError, match="line 1: `split` is not read of such lines: give files"):
        dialogues.load(tmp_path)


def test_a_faulty_first_line_hides_no_dialogues(tmp_path: Path) -> None:
    assert dialogues.has(write(tmp_path / "mine.jsonl", "{", HELLO))
    assert not dialogues.has(write(tmp_path / "mine.jsonl", "{", '{"text": "Hi"}', HELLO))
    assert not dialogues.has(write(tmp_path / "mine.jsonl", "{"))


def test_other_files_and_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no files \.jsonl"):
        dialogues.load(tmp_path)
    write(tmp_path / "train.jsonl", "")
    with pytest.raises(UsageError, match="no dialogues for train"):
        dialogues.load(tmp_path)


def test_dlcore_data_summarises_dialogues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [[HELLO[0], {"role": "assistant", "content": f"number {i}"}] for i in range(40)]
    write(tmp_path / "mine.jsonl", *answers, answers[0])
    assert cli.main(["data", str(tmp_path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "taken for dialogues: mine.jsonl has `messages`" in printed
    assert "dialogues that can be read: 41, messages: 82" in printed
    assert "cut from train by the hash of the dialogue: validation and test" in printed
    (tmp_path / "other.jsonl").write_bytes(b"\xff\n")
    assert cli.main(["data", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert re.search(r"other\.jsonl, line 1: byte 0 .* is not UTF-8", said.out + said.err)
    assert "words of the role assistant 2 2 2" in printed
    assert "no two of them are the same" not in printed
    assert "user: Hello assistant: number 3" in printed
    assert f"next: dlcore train chat_dialogues --data {tmp_path}" in printed
    write(tmp_path / "mine.jsonl", HELLO, "{")
    assert cli.main(["data", str(tmp_path)]) == 1
    assert "mine.jsonl, line 2: not JSON" in capsys.readouterr().out


def rewarded(tmp_path: Path, *rewards: object) -> Path:
    """JSON lines of one dialogue with rewards; None: a line without one."""
    rows = [
        json.dumps({"messages": HELLO} | ({} if each is None else {"reward": each}))
        for each in rewards
    ]
    return write(tmp_path / "mine.jsonl", *rows)


def test_rewards_are_read_and_the_answers_to_one_context_are_in_one_split(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"Hello {i}"}, HELLO[1]], "reward": reward}
        for i in range(60)
        for reward in (0, 1)
    ]
    write(tmp_path / "mine.jsonl", *map(json.dumps, rows))
    found, read = dialogues.load_rewarded(tmp_path)
    assert found.named("test") == "test by hash"
    assert sum(map(len, read.values())) == 120
    for split in read.values():
        answers = [(each[0].content, reward) for each, reward in split]
        assert len({*answers}) == len(answers) == 2 * len({context for context, _ in answers})
    rows = [
        {"messages": [*row["messages"], *HELLO * turns], "reward": row["reward"]}
        for row in rows
        for turns in (0, 2)
    ]
    write(tmp_path / "mine.jsonl", *map(json.dumps, rows))
    _, read = dialogues.load_rewarded(tmp_path)
    first = [{each[0].content for each, _ in split} for split in read.values()]
    assert sum(map(len, first)) == 60, "answers of one dialogue are in one split"
    # the key is ignored where dialogues are meant
    assert sum(map(len, dialogues.load(tmp_path)[1].values())) == 240


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (None, "there is no `reward`: 1 where the last message is a right answer"),
        (0.5, "the reward is 0.5, and must be 0 or 1"),
        (True, "the reward is true, and must be 0 or 1"),
        ("right", 'the reward is "right", and must be 0 or 1'),
    ],
)
def test_a_broken_reward_is_refused_with_file_and_line(
    tmp_path: Path, reward: object, message: str
) -> None:
    file = rewarded(tmp_path, 1, reward, 0)
    with pytest.raises(UsageError) as refused:
        dialogues.load_rewarded(tmp_path)
    assert str(refused.value).startswith(f"{file}, line 2: {message}")


def test_a_reward_of_a_question_is_refused(tmp_path: Path) -> None:
    more = [*HELLO, {"role": "user", "content": "Thanks"}]
    write(tmp_path / "mine.jsonl", json.dumps({"messages": more, "reward": 1}))
    with pytest.raises(UsageError, match="line 1: the last message has the role user"):
        dialogues.load_rewarded(tmp_path)


def test_dlcore_data_counts_rewards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"Hello {i}"}, HELLO[1]], "reward": i % 3 % 2}
        for i in range(60)
    ]
    write(tmp_path / "mine.jsonl", *map(json.dumps, rows))
    assert cli.main(["data", str(tmp_path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "labelled answers: 20 right, 40 wrong" in printed
    assert "by the hash of the user's first message: validation and test" in printed
    assert (
        f"next: dlcore train chat_preference --pretrained runs/chat_dialogues/001 --data {tmp_path}"
        in printed
    )
