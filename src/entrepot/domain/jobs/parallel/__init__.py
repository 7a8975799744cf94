"""Parallel steps: a script run over mini-batches of files. What is said of them, and what their driver is given."""
