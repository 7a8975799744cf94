"""Deployment templates: how a registry's models are to be served, published beside them."""
