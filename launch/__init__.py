"""Starts runs on this machine or a cluster: `python -m launch HOW [options] -- train EXPERIMENT`.

The training code does not depend on it.
"""
