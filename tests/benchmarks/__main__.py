"""python -m tests.benchmarks [names]: each benchmark prints its table."""

import sys

from tests.benchmarks import overhead

BENCHMARKS = {"overhead": overhead.main}

names = sys.argv[1:] or list(BENCHMARKS)
unknown = [name for name in names if name not in BENCHMARKS]
if unknown:
    sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
for name in names:
    BENCHMARKS[name]()
