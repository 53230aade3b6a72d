"""python -m launch local --processes N [--devices-per-process K] -- train EXPERIMENT [flags]"""

from __future__ import annotations

import argparse
import sys

from launch import local


def main(argv: list[str]) -> int:
    """Parse what stands before `--`, and start what stands behind it."""
    border = argv.index("--") if "--" in argv else len(argv)
    ours, command = argv[:border], argv[border + 1 :]
    parser = argparse.ArgumentParser(prog="python -m launch", description=__doc__)
    ways = parser.add_subparsers(dest="how", required=True)
    here = ways.add_parser("local", help="several processes on this machine, over loopback")
    here.add_argument("--processes", type=int, required=True, metavar="N")
    here.add_argument("--devices-per-process", type=int, default=1, metavar="K", help="simulated CPU devices of each process")
    asked = parser.parse_args(ours)
    if not command:
        parser.error("say what to run behind --, as in: python -m launch local --processes 2 -- train mlp_digits")
    if asked.processes < 1 or asked.devices_per_process < 1:
        parser.error("--processes and --devices-per-process must be at least 1")
    return local.launch(command, asked.processes, asked.devices_per_process)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
