"""The scoring gateway: Envoy, what it is told, and how it is kept running. No scoring request passes Python."""
