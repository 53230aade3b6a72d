"""User dialogues: JSON lines with `messages`, and a `reward` where answers are labelled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from dlcore.data.own import files
from dlcore.data.own.found import Example, Found, first_values
from dlcore.data.tokens import without_surrogates
from dlcore.errors import UsageError

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = get_args(Role)
_EXAMPLE = '{"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", ...}]}'
_REWARD = "`reward`: 1 where the last message is a right answer, 0 where it is a wrong one"


class Message(NamedTuple):
    """One message of a dialogue.

    Attributes:
        role: who wrote it: "system" (instructions), "user", "assistant" (the model), or "tool"
            (the response of a program).
        content: the text.
    """

    role: Role
    content: str


Dialogue = list[Message]


def find(path: Path, rewarded: bool = False) -> Found:
    """Finds dialogues; `values` are (messages,) or, with `rewarded`, (messages, "0" or "1").

    Messages are the JSON text that `to_json` returns.

    Args:
        path: a .jsonl file, or a folder of them; splits are files train.jsonl, validation.jsonl and
            test.jsonl, or folders of these names. A line is one dialogue: an object with
            `messages`, a list of objects with `role` (system, user, assistant or tool) and
            `content`, a text that is not blank; at least one after the first is of the assistant.
        rewarded: whether a line must have `reward`, 0 or 1, and its last message be of the
            assistant; else the key is ignored.

    Returns:
        The examples by split; faults of files and lines are in its `problems`.
    """
    found = Found(path)
    try:
        grouped, _ = files.grouped(path, (".jsonl",))
    except UsageError as error:
        found.problems.append(str(error))
        return found
    found.read(grouped, lambda file: _examples(file, found.problems, rewarded))
    if not found.problems and not found.splits["train"]:
        found.problems.append(f"{path} has no dialogues for train: add some")
    return found


def has(file: Path, key: str = "messages") -> bool:
    """Returns whether the first JSON object of a .jsonl file has a key, whatever its value.

    False where no line is a JSON object.

    Raises:
        UsageError: as `dlcore.data.own.files.text`.
    """
    return key in files.first_object(file)


def load(path: Path) -> tuple[Found, dict[str, list[Dialogue]]]:
    """Loads the dialogues of a path; missing splits are cut from train by the hash of the messages.

    Args:
        path: see `find`.

    Returns:
        What was found, for the names of the splits; and {split: dialogues}.

    Raises:
        UsageError: a fault in the files.
    """
    found = find(path)
    found.refuse()
    found.divide(first_values)
    found.refuse()
    return found, {
        split: [parse(example.values[0]) for example in examples]
        for split, examples in found.splits.items()
    }


def load_rewarded(
    path: Path, divided: bool = True
) -> tuple[Found, dict[str, list[tuple[Dialogue, int]]]]:
    """Loads the dialogues of a path whose last messages are labelled as right or wrong answers.

    Args:
        path: see `find`; each line needs `reward`.
        divided: whether missing splits are cut from train, by the hash of the first message of the
            user (`begins`), so that the answers of one dialogue are in one split.

    Returns:
        What was found, for the names of the splits; and {split: [(dialogue, label), ...]}, where
        the label is 1 if the last message is a right answer, else 0.

    Raises:
        UsageError: a fault in the files.
    """
    found = find(path, rewarded=True)
    found.refuse()
    if divided:
        found.divide(beginnings)
        found.refuse()
    return found, {
        split: [(parse(text), int(reward)) for text, reward in (each.values for each in examples)]
        for split, examples in found.splits.items()
    }


def begins(dialogue: Dialogue) -> str:
    """Returns the first message of the user in a dialogue; "": there is none."""
    return next((message.content for message in dialogue if message.role == "user"), "")


def beginnings(examples: Sequence[Example]) -> list[str]:
    """Returns the first message of the user of each example, its key for `divide`.

    Of a dialogue without one these are its messages before the last, as JSON.
    """
    every = [parse(example.values[0]) for example in examples]
    return [begins(dialogue) or to_json(dialogue[:-1]) for dialogue in every]


def parse(text: str) -> Dialogue:
    """Reads the messages that `to_json` wrote."""
    return [Message(role, content) for role, content in json.loads(text)]


def messages_in(file: Path, problems: list[str]) -> Iterator[tuple[int, object]]:
    """Yields (line number from 1, `messages`) of each line of a .jsonl file that is not blank.

    Args:
        file: a line is an object with `messages`, a list that is not empty. What it holds is not
            checked: `context` does that.
        problems: a message is appended for each other line, which is left out.

    Raises:
        UsageError: as `files.text`.
    """
    for number, line in enumerate(files.lines(file), 1):
        if line.strip():
            try:
                yield number, _listed(line)[1]
            except UsageError as error:
                problems.append(f"{file}, line {number}: {error}")


def context(messages: object) -> Dialogue:
    """Returns the messages of a dialogue up to the last one of the user, which it ends with.

    Args:
        messages: a list of objects with `role` and `content`, as in `find`.

    Raises:
        UsageError: a fault of a message, or no message of the user.
    """
    if not isinstance(messages, list):
        raise UsageError("a dialogue is a list of messages with `role` and `content`: give one")
    found = [_message(message, number) for number, message in enumerate(messages, 1)]
    of_user = [i for i, message in enumerate(found) if message.role == "user"]
    if not of_user:
        raise UsageError("no message has the role user: there is nothing to answer")
    return found[: of_user[-1] + 1]


def to_json(dialogue: Sequence[Message]) -> str:
    """Returns a dialogue as JSON: a list of [role, content]."""
    return json.dumps([list(message) for message in dialogue], ensure_ascii=False)


def _examples(file: Path, problems: list[str], rewarded: bool) -> Iterator[Example]:
    """The dialogues of a file; a fault of a line is appended to `problems`."""
    for number, line in enumerate(files.lines(file), 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            record, dialogue = _dialogue(line)
            reward = (_reward(record, dialogue),) if rewarded else ()
            yield Example(where, (to_json(dialogue), *reward))
        except UsageError as error:
            problems.append(f"{where}: {error}")


def _dialogue(line: str) -> tuple[Mapping[str, object], Dialogue]:
    """The object of a line of JSON, and its dialogue. UsageError: what is wrong with it."""
    content, messages = _listed(line)
    files.refuse_split(content)
    found = [_message(message, number) for number, message in enumerate(messages, 1)]
    if not any(message.role == "assistant" for message in found[1:]):
        raise UsageError(
            "no message after the first has the role assistant: there is no answer to learn from"
        )
    return content, found


def _listed(line: str) -> tuple[Mapping[str, object], list[object]]:
    """The object of a line of JSON, and its `messages`. UsageError: there are none."""
    try:
        content = files.parse(line)
    except ValueError as error:
        raise UsageError(f"{error}: a line is {_EXAMPLE}") from error
    messages = content.get("messages") if isinstance(content, dict) else None
    if not isinstance(messages, list) or not messages:
        raise UsageError(f"there is no list `messages`: a line is {_EXAMPLE}")
    return content, messages


def _reward(record: Mapping[str, object], dialogue: Dialogue) -> str:
    """The label of the last message, "0" or "1". UsageError: there is none, or another one."""
    if "reward" not in record:
        raise UsageError(f"there is no {_REWARD}")
    reward = record["reward"]
    if isinstance(reward, bool) or reward not in (0, 1):
        raise UsageError(f"the reward is {json.dumps(reward)}, and must be 0 or 1 ({_REWARD})")
    if dialogue[-1].role != "assistant":
        raise UsageError(
            f"the last message has the role {dialogue[-1].role}: the answer that the reward labels"
            " must be the last one, of the assistant"
        )
    return str(int(reward == 1))


def _message(message: object, number: int) -> Message:
    """One message. UsageError: what is wrong with it, with its number in the dialogue."""
    if not isinstance(message, dict):
        raise UsageError(f"message {number} is a {type(message).__name__}, and no JSON object")
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise UsageError(f"message {number} has the role {role!r}: it must be {', '.join(ROLES)}")
    if not isinstance(content, str) or not content.strip():
        raise UsageError(f"message {number} has no text as `content`: fill it in, or remove it")
    return Message(role, without_surrogates(content))
