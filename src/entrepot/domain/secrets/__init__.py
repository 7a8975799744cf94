"""Secrets at rest: sealed before they are stored, opened where they are used, sealed anew when the key changes."""
