"""Builders of data sets that TFDS does not have: one file a set, prepared by `dlcore prepare NAME`
without TensorFlow.
"""
