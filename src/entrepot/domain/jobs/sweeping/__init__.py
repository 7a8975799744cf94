"""Sweeps: many trials of one command with values drawn from a search space, and the best of them."""
