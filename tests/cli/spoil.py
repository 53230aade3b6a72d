"""Random faults in command lines and run folders, for tests/cli/test_fuzz.py."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

from tests.child import flags_of, tiny

TINY = flags_of(tiny("mlp_digits"))
NUMBERS = [
    "0",
    "-1",
    "1",
    "2",
    "7",
    "0.5",
    "1e-3",
    "1e20",
    "1e309",
    "nan",
    "-inf",
    "9" * 30,
    "0x10",
    "1_000",
    "٣",
    "1.",
    "+3",
    "",
]
WORDS = [
    "",
    "-",
    "--",
    "=",
    " ",
    ".",
    "..",
    "none",
    "None",
    "True",
    "[]",
    "{}",
    "%s",
    "@args",
    "é",
    "☃",
    "\udcff",
    "\n",
    "\t",
    "\x1b[31m",
]
PLACES = [
    "run",
    "stopped",
    "nowhere",
    "file",
    "run/card.json",
    "run/checkpoints",
    "/dev/null",
    "/dev/full",
    "~",
    "a" * 300,
    "a" * 5000,
]
FLAGS = [f for f in TINY if f.startswith("--")]
FLAGS += [
    "--out",
    "--seed",
    "--seeds",
    "--parallel",
    "--cpu-devices",
    "--mesh",
    "--microbatches",
    "--precision",
    "--log-every",
]
FLAGS += [
    "--eval-every",
    "--patience",
    "--save-every",
    "--keep",
    "--threads",
    "--workers",
    "--track",
    "--heartbeat",
    "--stall",
    "--diagnose",
]
FLAGS += [
    "--continue-run",
    "--deterministic",
    "--help",
    "--half",
    "--accept-changes",
    "--topology",
    "--search",
    "--json",
    "--price",
]
MESHES = [
    "data=1",
    "data=2",
    "data=1,fsdp=1,tensor=1",
    "data=0",
    "fsdp",
    "data=-1",
    "data=99999",
    "x=1",
    "data=1,data=1",
    ",",
]
TOPOLOGIES = [
    "cpu:1",
    "cpu:2",
    "cpu:65",
    "tpu:v5e:2x2",
    "gpu:h100:8",
    "tpu:v9:1",
    "cpu:",
    ":",
    "gpu:h100:1x",
    "cpu:1x1",
]
DAMAGES = ["json", "json", "cut", "flip", "empty", "junk", "append", "remove", "folder", "loop"]
DAMAGES += ["link", "pipe"]
ENDS = [b"\xff\xfe\n", b"{}\n", b"null\n", b"\0" * 100, b'{"step": "x"}\n', b'{"step": 1e999}\n']


def lines(draw: random.Random) -> list[str]:
    """Draws a command line, mostly a valid one."""
    name = draw.choice(["mlp_digits"] * 6 + ["mlp_digit", "gan_digits", "nothing"])
    place = draw.choice(["run", "stopped"])
    return draw.choice(
        [
            ["train", name, *TINY, "--out", "new"],
            ["train", name, *TINY],
            ["train", name, *TINY, "--out", place, "--continue-run"],
            ["train", name, *TINY, "--seeds", "2", "--out", "new"],
            ["train", name, *TINY, "--mesh", draw.choice(MESHES), "--out", "new"],
            ["resume", place],
            ["resume", place, "--steps", "7", "--accept-changes"],
            ["eval", place],
            ["sample", place],
            ["report", place, "--out", "page.html"],
            ["report", "run", "stopped"],
            ["verify", place, "--steps", "2"],
            ["export", place, "weights.npz", "--half"],
            ["list"],
            ["doctor"],
            ["sweep", name, "lr=1e-3,1e-2", "--dry-run", "--", *TINY],
            ["plan", name, *TINY, "--topology", draw.choice(TOPOLOGIES)],
            ["plan", name, *TINY, "--topology", "cpu:1", "--search"],
            ["--help"],
        ]
    )


def spoilt(words: list[str], draw: random.Random) -> list[str]:
    """Returns a command line with one to three random changes."""
    words = list(words)
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(words) + 1)
        here = min(at, len(words) - 1)
        junk = draw.choice(draw.choice([NUMBERS, WORDS, PLACES, FLAGS, MESHES, TOPOLOGIES]))
        change = draw.choice(
            [
                "number",
                "number",
                "insert",
                "replace",
                "drop",
                "twice",
                "swap",
                "letter",
                "join",
                "flag",
            ]
        )
        valued = [
            i + 1
            for i, word in enumerate(words[:-1])
            if word.startswith("--") and not words[i + 1].startswith("--")
        ]
        if change == "number" and valued:
            words[draw.choice(valued)] = draw.choice(NUMBERS)
        elif change == "insert":
            words.insert(at, junk)
        elif change == "replace" and words:
            words[here] = junk
        elif change == "drop" and len(words) > 1:
            del words[here]
        elif change == "twice" and words:
            words.insert(at, words[here])
        elif change == "swap" and len(words) > 1:
            other = draw.randrange(len(words))
            words[here], words[other] = words[other], words[here]
        elif change == "letter" and words and words[here]:
            letter = draw.randrange(len(words[here]))
            words[here] = (
                words[here][:letter] + draw.choice("aZ0-=_. é") + words[here][letter + 1 :]
            )
        elif change == "join" and len(words) > here + 1:
            words[here : here + 2] = ["=".join(words[here : here + 2])]
        elif change == "flag":
            words += [draw.choice(FLAGS), junk]
    return [word.replace("\0", "") for word in words]


def harmless(words: list[str]) -> bool:
    """Returns whether a command line writes only into the current folder and downloads nothing."""
    return words[:1] != ["prepare"] and not any(
        word in ("..", ".") or word.startswith("/work") for word in words
    )


def of_any(draw: random.Random) -> Any:
    """Draws a JSON value of any kind."""
    return draw.choice(
        [
            None,
            True,
            -1,
            0,
            10**30,
            1e300,
            float("nan"),
            "",
            "x",
            "é\n",
            [],
            {},
            [1, [2, {}]],
            {"a": None},
            "a" * 10000,
        ]
    )


def in_json(text: str, draw: random.Random) -> str:
    """Removes or replaces a random value, at any depth, of a JSON document; returns its text.

    Of a file that was damaged before, and is no JSON any more, a part is returned.
    """
    try:
        whole = json.loads(text)
    except ValueError:
        return text[: len(text) // 2]
    inner = whole
    while isinstance(inner, dict) and inner:
        key = draw.choice(sorted(inner))
        if not isinstance(inner[key], dict) or draw.random() < 0.4:
            if draw.random() < 0.3:
                del inner[key]
            else:
                inner[key] = of_any(draw)
            break
        inner = inner[key]
    return json.dumps(whole)


def damage(folder: Path, draw: random.Random) -> str:
    """Damages one random file of a run's folder; returns a description."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    known = [path for path in files if path.parent == folder]
    path = draw.choice(
        draw.choice(
            [files, known, [folder / "card.json"] * ((folder / "card.json").is_file()) or known]
        )
    )
    old = path.read_bytes()
    how = draw.choice(DAMAGES)
    if how == "json" and path.suffix == ".json":
        path.write_text(
            in_json(old.decode(errors="replace"), draw) if old.startswith(b"{") else "[1"
        )
    elif how in ("json", "flip") and old:
        at = draw.randrange(len(old))
        path.write_bytes(old[:at] + bytes([old[at] ^ 1 << draw.randrange(8)]) + old[at + 1 :])
    elif how == "cut":
        path.write_bytes(old[: draw.randrange(len(old) + 1)])
    elif how == "junk":
        path.write_bytes(draw.randbytes(draw.randrange(2000)))
    elif how == "append":
        path.write_bytes(old + draw.choice(ENDS))
    else:
        path.unlink()
        if how == "empty":
            path.touch()
        elif how == "folder":
            path.mkdir()
        elif how == "loop":
            path.symlink_to(path.name)
        elif how == "link":
            path.symlink_to(folder.parent / "file")
        # TensorStore waits for a pipe's writer
        elif how == "pipe" and "checkpoints" not in path.parts:
            os.mkfifo(path)
    return f"{how} {path.relative_to(folder)}"


def commands(draw: random.Random) -> list[list[str]]:
    """Draws two commands to call with a damaged run."""
    known = [
        ["resume", "stopped"],
        ["resume", "stopped", "--accept-changes"],
        ["eval", "stopped"],
        ["sample", "stopped"],
        ["report", "stopped"],
        ["report", "stopped", "run", "--out", "page.html"],
        ["verify", "stopped", "--steps", "2"],
        ["export", "stopped", "weights.npz"],
        ["train", "mlp_digits", *TINY, "--out", "stopped"],
        ["train", "mlp_digits", *TINY, "--out", "stopped", "--continue-run"],
    ]
    return draw.sample(known, 2)
