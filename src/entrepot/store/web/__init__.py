"""Bytes from addresses that users name: which of them this server may ask, and how it asks."""
