"""Builders of data sets that TFDS lacks, one file per set, which `dlcore prepare NAME` runs.

They need no TensorFlow.
"""
