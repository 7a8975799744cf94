"""What stands around workspaces: hubs above them, and the resources of Azure that their documents name."""
