"""What leaves a run: predictions, and its model for Python."""
