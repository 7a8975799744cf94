"""The commands of endpoints: what they are invoked with, their deployments."""
