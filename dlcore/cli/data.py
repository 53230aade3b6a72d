"""`dlcore data`: what a user's own data contain, and their faults, before training."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlcore.errors import UsageError

if TYPE_CHECKING:
    from dlcore.data.own.kinds import Kind
    from dlcore.data.own.summary import Summary


def main(words: Sequence[str]) -> int:
    """Prints what a user's own data contain, and their faults; --out writes an HTML report too.

    Args:
        words: the command line after `dlcore data`.

    Returns:
        The exit code: 0 where training takes the data, 1 where they have faults.

    Raises:
        UsageError: nothing is there, or nothing that can be summarised; --out does not end in
            .html; or --target is given for data that are no table.
    """
    from dlcore.cli.commands import COMMANDS
    from dlcore.data.own.kinds import KINDS, kind

    parser = argparse.ArgumentParser(prog="dlcore data", description=COMMANDS["data"])
    parser.add_argument("path", type=Path, help="a folder, or a file")
    parser.add_argument(
        "--as",
        dest="kind",
        choices=KINDS,
        help="what to take it for; by default what its files are",
    )
    parser.add_argument("--target", default="", help="of a table: the column to predict")
    parser.add_argument("--out", metavar="FILE.html", help="write a page with all of it, too")
    request = parser.parse_args(words)
    if request.out is not None and not request.out.endswith(".html"):
        raise UsageError(f"--out {request.out}: name a file that ends in .html")
    if not request.path.exists():
        raise UsageError(f"{request.path}: there is no such file or folder")
    chosen, reason = (request.kind, "as you say") if request.kind else kind(request.path)
    from dlcore.data.own.summary import printed
    from dlcore.samples import Table

    if request.target and chosen != "table":
        raise UsageError(f"--target is of tables, and {request.path} was taken for {chosen}")
    found = _summary(request.path, chosen, request.target)
    lines = [f"taken for {chosen}: {reason}", *found.lines]
    tables = [each for each in found.examples if isinstance(each, Table)]
    print(f"{request.path}\n" + "\n".join([*lines, *printed([*found.tables, *tables])]))
    count = len(found.problems)
    print(f"\n{count:,} {'problem' if count == 1 else 'problems'}{':' if count else ''}")
    for problem in found.problems:
        print(f"  {problem}")
    if request.out is not None:
        from dlcore.report import data_page

        title = request.path.resolve().name
        samples = [*found.tables, *found.examples]
        data_page.write(Path(request.out), title, lines, found.problems, samples)
        print(f"written to {request.out}")
    print(f"\n{'mend these, then' if count else 'next'}: {found.command}")
    return 1 if count else 0


def _summary(path: Path, kind: Kind, target: str) -> Summary:
    from dlcore.data.own import (
        box_summary,
        caption_summary,
        dialogue_summary,
        drive_summary,
        mask_summary,
        people_summary,
        question_summary,
        simple_summary,
        table_summary,
        tagged_summary,
        token_summary,
        video_summary,
    )

    if kind == "table":
        return table_summary.summary(path, target)
    own = {
        "boxes": box_summary.summary,
        "captions": caption_summary.summary,
        "dialogues": dialogue_summary.summary,
        "drive": drive_summary.summary,
        "masks": mask_summary.summary,
        "people": people_summary.summary,
        "questions": question_summary.summary,
        "tagged": tagged_summary.summary,
        "tokens": token_summary.summary,
        "videos": video_summary.summary,
    }
    return own[kind](path) if kind in own else simple_summary.summary(path, kind)
