"""Speed comparisons, which are no tests: `python -m tests.benchmarks [names]`.

They measure ratios of interleaved runs.
"""
