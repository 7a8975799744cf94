"""Routes about rights and about what was done with them."""
