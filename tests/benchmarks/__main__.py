"""python -m tests.benchmarks [names] [--json FILE]: each row prints its ratios as soon as it is measured."""

import argparse
import importlib.util
import json
import pkgutil
from pathlib import Path

from tests.benchmarks import compare, overhead, rows, waits

OTHERS = {"overhead": overhead.main, "waits": waits.main}
ROWS = [module.name for module in pkgutil.iter_modules(rows.__path__)]

parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Ratios of interleaved runs.")
parser.add_argument("names", nargs="*", default=ROWS, help=f"by default every row: {', '.join(ROWS)}; also {', '.join(OTHERS)}")
parser.add_argument("--json", type=Path, help="a file for the table")
asked = parser.parse_args()
unknown = [name for name in asked.names if name not in ROWS and name not in OTHERS]
if unknown:
    parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join([*ROWS, *OTHERS])}")
if not importlib.util.find_spec("torch"):
    print("PyTorch is not installed, its columns are left out: pip install -e '.[bench]'")
table = []
for name in asked.names:
    if name in OTHERS:
        OTHERS[name]()
        continue
    table.append(compare.row(name))
    print(compare.line(table[-1]), flush=True)
if asked.json:
    asked.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
