"""python -m launch local|slurm|kubernetes|tpu [options] -- train EXPERIMENT [flags]"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from launch import kubernetes, local, slurm, tpu
from launch.command import Refused, at_least, pairs

if TYPE_CHECKING:
    Ways = argparse._SubParsersAction[argparse.ArgumentParser]

R = TypeVar("R", slurm.Request, kubernetes.Request, tpu.Request)


def main(argv: list[str]) -> int:
    """Starts or submits the command after `--`, by the options before it; returns the exit code."""
    border = argv.index("--") if "--" in argv else len(argv)
    ours, command = argv[:border], argv[border + 1 :]
    parser = argparse.ArgumentParser(prog="python -m launch", description=__doc__)
    ways = parser.add_subparsers(dest="how", required=True)
    _local(ways)
    _slurm(ways)
    _kubernetes(ways)
    _tpu(ways)
    options = parser.parse_args(ours)
    if not command:
        parser.error(
            "name a command after --, for example: python -m launch local --processes 2 -- train"
            " mlp_digits"
        )
    try:
        return options.act(options, command)
    except Refused as refused:
        parser.error(str(refused))


def _way(
    ways: Ways,
    name: str,
    about: str,
    act: Callable[[argparse.Namespace, list[str]], int],
    submits: bool = True,
) -> argparse.ArgumentParser:
    way = ways.add_parser(name, help=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    way.set_defaults(act=act)
    if submits:
        way.add_argument(
            "--dry-run",
            action="store_true",
            help="print what would be submitted, and submit nothing",
        )
        way.add_argument(
            "--env",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="set in every process; may be repeated",
        )
    return way


def _request(kind: type[R], options: argparse.Namespace) -> R:
    """A module's Request, from the options of the same names."""
    given = {**vars(options), "environment": pairs(options.env)}
    return kind(
        **{each.name: given[each.name] for each in dataclasses.fields(kind) if each.name in given}
    )


def _submitted(options: argparse.Namespace, text: str, submit: Callable[[str], int]) -> int:
    if not options.dry_run:
        return submit(text)
    print(text, end="")
    return 0


def _local(ways: Ways) -> None:
    def act(options: argparse.Namespace, command: list[str]) -> int:
        at_least(1, processes=options.processes, devices_per_process=options.devices_per_process)
        return local.launch(command, options.processes, options.devices_per_process)

    way = _way(
        ways, "local", "several processes on this machine, over loopback", act, submits=False
    )
    way.add_argument("--processes", type=int, required=True, metavar="N")
    way.add_argument(
        "--devices-per-process",
        type=int,
        default=1,
        metavar="K",
        help="simulated CPU devices of each process",
    )


def _slurm(ways: Ways) -> None:
    def act(options: argparse.Namespace, command: list[str]) -> int:
        options.modules = tuple(options.modules)
        return _submitted(
            options, slurm.script(command, _request(slurm.Request, options)), slurm.submit
        )

    way, usual = _way(ways, "slurm", "an sbatch script, one process a node", act), slurm.Request()
    for name in ("nodes", "gpus_per_node", "cpus_per_task", "seeds", "notice_seconds", "restarts"):
        way.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=getattr(usual, name), metavar="N"
        )
    for name in ("time", "partition", "account", "container", "python"):
        way.add_argument(f"--{name}", default=getattr(usual, name))
    way.add_argument(
        "--module",
        action="append",
        default=[],
        dest="modules",
        help="to load first; may be repeated",
    )


def _kubernetes(ways: Ways) -> None:
    def act(options: argparse.Namespace, command: list[str]) -> int:
        text = kubernetes.text(kubernetes.manifests(command, _request(kubernetes.Request, options)))
        return _submitted(options, text, kubernetes.submit)

    way, usual = (
        _way(ways, "kubernetes", "an Indexed Job with its Service, or a JobSet", act),
        kubernetes.Request(""),
    )
    way.add_argument("--image", required=True)
    way.add_argument(
        "--claim", required=True, help="a PersistentVolumeClaim that all pods share; runs lie there"
    )
    way.add_argument("--jobset", action="store_true")
    for name in ("nodes", "gpus", "tpu_chips", "restarts"):
        way.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=getattr(usual, name), metavar="N"
        )
    for name in ("tpu_accelerator", "tpu_topology", "namespace", "name"):
        way.add_argument(f"--{name.replace('_', '-')}", default="")


def _tpu(ways: Ways) -> None:
    def act(options: argparse.Namespace, command: list[str]) -> int:
        return _submitted(options, tpu.script(command, _request(tpu.Request, options)), tpu.submit)

    way, usual = _way(ways, "tpu", "the commands for a Cloud TPU slice", act), tpu.Request("", "")
    for name in ("accelerator", "zone", "folder"):
        way.add_argument(f"--{name}", required=True)
    for name in ("project", "version", "name", "install"):
        way.add_argument(f"--{name}", default=getattr(usual, name))
    way.add_argument("--queued", action="store_true", help="queue for the slice")
    way.add_argument("--spot", action="store_true")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
