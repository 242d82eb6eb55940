"""Methods beside each other on the same tasks: the grid, its statistics and its page."""
