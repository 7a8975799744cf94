"""`ad`: the directory, in the shape of `az ad`."""
