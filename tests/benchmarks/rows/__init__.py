"""One file for each row of the table of speed comparisons.

A row has the same model, weights, data and optimizer in dlcore, in stock Flax and Optax, and in
PyTorch: `LIMITS` (the goal for dlcore's time over a contender's), sizes `FULL` and `TINY`, `given`,
which makes weights and data, and a function for each contender: (size) -> step. A step is a
function without arguments that trains one step (or evaluates a batch, or generates a text), and
returns the loss (of a text a checksum), whose computation may not have ended yet.
"""
