"""Measures rows, and prints each at once: python -m tests.benchmarks [names] [--json FILE]."""

import argparse
import importlib
import importlib.util
import json
import pkgutil
from pathlib import Path

from tests.benchmarks import compare, gpu, overhead, rows, waits

OTHERS = {"overhead": overhead.main, "waits": waits.main, "gpu": gpu.main}
ROWS = [module.name for module in pkgutil.iter_modules(rows.__path__)]

parser = argparse.ArgumentParser(
    prog="python -m tests.benchmarks", description="Ratios of interleaved runs."
)
parser.add_argument(
    "names",
    nargs="*",
    default=ROWS,
    help=f"by default every row: {', '.join(ROWS)}; also {', '.join(OTHERS)}",
)
parser.add_argument("--json", type=Path, help="a file for the table")
parser.add_argument(
    "--compile",
    action="store_true",
    help="PyTorch through torch.compile too, which wants a C++ compiler",
)
parser.add_argument("--list", action="store_true", help="only name the rows")
options = parser.parse_args()
unknown = [name for name in options.names if name not in ROWS and name not in OTHERS]
if unknown:
    parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join([*ROWS, *OTHERS])}")
if options.list:
    for name in ROWS:
        print(f"{name:20} {importlib.import_module(f'tests.benchmarks.rows.{name}').__doc__}")
    parser.exit()
if not importlib.util.find_spec("torch"):
    print("PyTorch is not installed, its columns are left out: pip install -e '.[bench]'")
table = []
for name in options.names:
    if name in OTHERS:
        OTHERS[name]()
        continue
    table.append(compare.row(name, compiled=options.compile))
    print(compare.line(table[-1]), flush=True)
    if options.json:  # after each row: what was measured stays, whatever happens to the next one
        options.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
