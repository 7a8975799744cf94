"""Disposal of what nobody needs any more, as work that comes back by itself."""
