"""The maths: functions of arrays, each proven against float64.

Some are the library's alone, for experiments of one's own; benchmarks compare their speed:
`ctc.ctc_loss`, `cross_entropy.linear_cross_entropy` and `conv.transposed_conv`.
"""
