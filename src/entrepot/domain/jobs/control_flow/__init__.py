"""Control flow of pipelines: nodes under a condition, nodes run again until one is met, nodes run for each item."""
