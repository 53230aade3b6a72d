"""Compares code, packages, commit and machine with those at the start of a run."""

from __future__ import annotations

import ast
import difflib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlcore.runs.card_fields import Card, Git

NAMED = 12  # a message names at most this many files


def same_code(before: str, now: str) -> bool:
    """Returns whether two Python texts differ in comments, docstrings and layout at most.

    Where one of them cannot be parsed, whether they are equal.
    """
    if before == now:
        return True
    try:
        return code(before) == code(now)
    except (SyntaxError, ValueError, RecursionError):
        return False


def code(text: str) -> str:
    """Returns a Python text's syntax tree as a string, without comments, docstrings and layout.

    Raises:
        SyntaxError, ValueError, RecursionError: the text cannot be parsed.
    """
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # a bare string documents a function or a field
            node.body = [each for each in body if not _is_text(each)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def code_difference(before: str, now: str, name: str) -> list[str]:
    """Compares two Python texts.

    Args:
        before: the older text.
        now: the newer text.
        name: of the newer one, for the head of the diff.

    Returns:
        The first 60 lines of a unified diff; empty where `same_code` is True.
    """
    if same_code(before, now):
        return []
    return list(
        difflib.unified_diff(
            before.split("\n"), now.split("\n"), "as it began", name, lineterm="", n=1
        )
    )[:60]


def flat(fields: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Returns nested mappings as one mapping with dotted names.

    Args:
        fields: such as {"recipe": {"lr": 0.1}}, which becomes {"recipe.lr": 0.1}.
        prefix: is put in front of every name.
    """
    found: dict[str, object] = {}
    for name, value in fields.items():
        found |= (
            flat(value, f"{prefix}{name}.")
            if isinstance(value, dict)
            else {f"{prefix}{name}": value}
        )
    return found


def differences(
    then: Mapping[str, object], now: Mapping[str, object], words: Sequence[str]
) -> list[str]:
    """Lists the entries in which two cards differ, as "versions jax: 0.10.1 then, 0.12.0 now".

    Args:
        then: the older card.
        now: the newer card.
        words: top-level keys of the cards to compare; the entries of a mapping are compared each,
            and a missing one counts as None.
    """
    lines = []
    for word in words:
        # JSON turns tuples into lists, so that the two compare equal.
        a, b = (json.loads(json.dumps(each.get(word))) for each in (then, now))
        if not isinstance(a, dict) or not isinstance(b, dict):
            a, b = {"": a}, {"": b}
        lines += [
            f"{word} {key}: {a.get(key)} then, {b.get(key)} now".replace(" : ", ": ")
            for key in sorted({*a, *b})
            if a.get(key) != b.get(key)
        ]
    return lines


def commit(then: Card, now: Card) -> list[str]:
    """Returns a line if two cards differ in commit, and one for each with uncommitted changes."""
    none = Git(commit=None, clean=None)
    a, b = (each.get("git") or none for each in (then, now))
    before, after = a.get("commit"), b.get("commit")
    lines = []
    if before and after and before != after:
        lines.append(f"commit: {before[:10]} then, {after[:10]} now")
    return lines + [
        f"uncommitted changes {when}"
        for when, git in (("then", a), ("now", b))
        if git.get("clean") is False
    ]


def code_since(commit: str | None, folder: Path) -> list[str]:
    """Compares the loaded Python files that git tracks, as they are on disk, with a commit.

    Args:
        commit: hash of the commit; None: nothing is compared.
        folder: any folder inside the git repository whose files are compared.

    Returns:
        At most one line: the first `NAMED` files whose code differs (see `same_code`) and the
        number of others, or that the commit cannot be read. Empty where no code differs, `folder`
        is in no repository, or git is missing.
    """
    top = git_output(folder, "rev-parse", "--show-toplevel")
    if not commit or not top:
        return []
    # names that are not ASCII as they are, not quoted
    compare = ("-c", "core.quotePath=false", "diff", "--name-only", "--no-renames")
    names = git_output(Path(top), *compare, commit, "--", "*.py")
    if names is None:
        return [f"code: git cannot read commit {commit[:10]} in {top}, so it is not compared"]
    running = {
        Path(file).resolve()
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None))
    }
    files = [Path(top, name) for name in names.splitlines() if Path(top, name).resolve() in running]
    other = [
        file
        for file in files
        if not same_code(
            git_output(Path(top), "show", f"{commit}:{file.relative_to(top)}") or "", _text(file)
        )
    ]
    shown = ", ".join(str(file.relative_to(top)) for file in other[:NAMED])
    more = f" and {len(other) - NAMED} more" if len(other) > NAMED else ""
    return [f"code since commit {commit[:10]}: {shown}{more}"] if other else []


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def git_output(folder: Path, *words: str) -> str | None:
    """Returns the stripped output of a git command; None where git is missing, fails or hangs."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
