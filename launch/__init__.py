"""Starting runs: `python -m launch HOW [options] -- train EXPERIMENT [flags]`. The training code
does not know who started it.
"""
