"""Speed comparisons, run by hand: `python -m tests.benchmarks [names]`. Ratios of interleaved runs;
never a clock in a test.
"""
