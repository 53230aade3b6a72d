"""Every classic family of deep learning as an experiment of one page, on one step and one loop."""

__version__ = "0.1.0"
