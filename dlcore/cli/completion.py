"""Shell completion: `dlcore --install-completion`, and the words that the Tab key offers."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

from dlcore.bounds import Dataclass
from dlcore.cli.commands import COMMANDS
from dlcore.errors import UsageError

INSTALL, COMPLETE = "--install-completion", "--complete"
_OF_EXPERIMENTS = ("train", "sweep", "plan")
# flags that the texts of `COMMANDS` leave out
_MORE = {
    "predict": ("--batch", "--trust", "--top"),
    "resume": ("--accept-changes", "--trust"),
    "eval": ("--trust",),
    "sample": ("--trust",),
    "verify": ("--trust",),
    "export": ("--trust",),
    "report": ("--out",),
    "data": ("--target",),
}
# Each prints what `dlcore --complete` answers to the words up to the cursor; where that is nothing,
# the shell offers files.
SCRIPTS = {
    "bash": """_dlcore() {
    local IFS=$'\\n'
    COMPREPLY=($(dlcore --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _dlcore dlcore
""",
    "zsh": """_dlcore() {
    local -a found
    found=(${(f)"$(dlcore --complete "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then compadd -- $found; else _files; fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _dlcore dlcore
""",
    "fish": """function __dlcore_complete
    dlcore --complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null
end
complete -c dlcore -a '(__dlcore_complete)'
""",
}


def install(words: Sequence[str]) -> int:
    """Installs the completion of a shell for this user, and prints what it has written.

    The script is written to a file of its own. fish loads it from there; for bash and zsh a line
    that loads it is added to ~/.bashrc, or to .zshrc in $ZDOTDIR (by default the home folder),
    unless it is there.

    Args:
        words: the name of the shell, bash, zsh or fish; without one it is that of $SHELL.

    Returns:
        The exit code, 0.

    Raises:
        UsageError: the shell is another one, or several words are given.
    """
    shell = words[0] if words else Path(os.environ.get("SHELL", "")).name
    if shell not in SCRIPTS or len(words) > 1:
        raise UsageError(
            f"{' '.join(words) or 'SHELL ' + repr(shell)} is no shell with completion: dlcore"
            f" {INSTALL} {'|'.join(SCRIPTS)}"
        )
    file = _script_file(shell)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(SCRIPTS[shell], encoding="utf-8")
    print(f"written to {file}")
    if shell != "fish":
        start = Path(os.environ.get("ZDOTDIR") or Path.home()) if shell == "zsh" else Path.home()
        start /= f".{shell}rc"
        line = f'source "{file}"  # completion of dlcore'
        text = start.read_text(encoding="utf-8") if start.exists() else ""
        if line not in text.splitlines():
            between = "" if text.endswith("\n") or not text else "\n"
            start.write_text(f"{text}{between}{line}\n", encoding="utf-8")
            print(f"{start} loads it")
    print("open a new terminal to use it")
    return 0


def _script_file(shell: str) -> Path:
    if shell == "fish":
        settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return Path(settings) / "fish" / "completions" / "dlcore.fish"
    shared = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(shared) / "dlcore" / f"completion.{shell}"


def complete(words: Sequence[str]) -> int:
    """Prints the `candidates` for the last of the words, one per line; returns the exit code."""
    for candidate in candidates(words):
        print(candidate)
    return 0


def candidates(words: Sequence[str]) -> list[str]:
    """Returns the completions of the last word; [] where it is a file or a value of any kind.

    Args:
        words: the command line after `dlcore`, up to the cursor; the last may be empty.
    """
    *before, last = words or [""]
    found: Sequence[str] = ()
    if not before:
        found = (*COMMANDS, "--help", INSTALL)
    elif before == [INSTALL]:
        found = (*SCRIPTS,)
    elif before[0] in COMMANDS:
        found = _of_command(before, last)
    return [each for each in found if each.startswith(last)]


def _of_command(before: Sequence[str], last: str) -> Sequence[str]:
    from dlcore.runs import catalog

    command = before[0]
    of_experiment = command in _OF_EXPERIMENTS
    if of_experiment and len(before) == 1 and not last.startswith("-"):
        return catalog.names()
    flags: dict[str, Sequence[str]] = dict.fromkeys(
        re.findall(r"--[a-z][a-z-]*", COMMANDS[command]), ()
    )
    flags |= dict.fromkeys(_MORE.get(command, ()), ())
    if of_experiment and len(before) > 1:
        flags |= _of_experiment(before[1])
    elif command == "resume":
        flags |= _of_run(before[1:2])
    elif command == "chat":
        from dlcore.cli import chat

        names = [name for action in chat.parser()._actions for name in action.option_strings]
        flags |= dict.fromkeys((name for name in names if name.startswith("--")), ())
    if last.startswith("-"):
        return [*flags, "--help"]
    return flags.get(before[-1], ())


def _of_run(words: Sequence[str]) -> dict[str, Sequence[str]]:
    """{flag: its choices} of a run that may be resumed, and of its experiment if it is ours."""
    from dlcore.options import RunOptions
    from dlcore.runs import catalog

    found: dict[str, Sequence[str]] = _flags(RunOptions())
    for word in words:
        try:
            name = json.loads((Path(word) / "card.json").read_text(encoding="utf-8"))["experiment"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if name in catalog.names():
            found |= _of_experiment(name)
    return found


def _of_experiment(name: str) -> dict[str, Sequence[str]]:
    """{flag: its choices} of an experiment and of a run, kept in the cache folder.

    An experiment file that the user has never trained with is not executed for that: then the flags
    are those of a run alone.
    """
    from dlcore.data import cache
    from dlcore.options import RunOptions
    from dlcore.runs import catalog, trust

    try:
        path = catalog.find(name)
        source = catalog.source(path)
    except (UsageError, OSError):
        return {}
    if not trust.is_known(path, source):
        return _flags(RunOptions())
    newest = max(each.stat().st_mtime_ns for each in Path(__file__).parents[1].rglob("*.py"))
    key = hashlib.sha256(f"{newest} {source}".encode()).hexdigest()[:32]
    file = cache.folder() / "completion" / f"{key}.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        pass
    page = catalog.load(path, source)
    found = {"--preset": [*page.presets], **_flags(page.config()), **_flags(page.flags)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found), encoding="utf-8")
    except OSError:
        pass  # the next time takes as long
    return found


def _flags(config: Dataclass) -> dict[str, Sequence[str]]:
    """{flag: its choices} of a dataclass, () where any value is possible."""
    from dlcore.options import flag_names

    found: dict[str, Sequence[str]] = {}
    for path, name in flag_names(config).items():
        flag, hint = name.replace("_", "-"), _hint(config, path)
        found[f"--{flag}"] = [str(e) for e in get_args(hint)] if get_origin(hint) is Literal else ()
        if hint is bool:
            found[f"--no-{flag}"] = ()
    return found


def _hint(config: Dataclass, path: str) -> object:
    """The type of a field, whose path may lead through nested dataclasses."""
    *parents, name = path.split(".")
    for parent in parents:
        config = getattr(config, parent)
    return get_type_hints(type(config))[name]
