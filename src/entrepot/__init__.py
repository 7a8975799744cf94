"""Entrepot: a self-hosted, open-source implementation of AzureML Registries."""

__version__ = "0.1.0"
