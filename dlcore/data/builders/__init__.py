"""Builders that `dlcore prepare NAME` runs, one file per set, and that need no TensorFlow.

TFDS lacks most of these sets; the others, such as mnist, it prepares only with TensorFlow.
"""
