"""The language of ARM templates: expressions, their functions, and how much they may be."""
