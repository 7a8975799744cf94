"""Connections of workspaces to services elsewhere, with their credentials."""
