"""One file for each row of the table: the same model, weights, data and optimizer in dlcore, in
stock Flax and Optax, and in PyTorch.

A row has `LIMITS` (the goal for dlcore's time over a contender's), `FULL` and `TINY` sizes, and a
function for each contender: it takes a size and returns a function without arguments that trains
one step (evaluates a batch, generates a text) and returns the loss (a number that another text
would not have), which may still be on its way.
"""
