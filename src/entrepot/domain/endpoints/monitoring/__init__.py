"""What is known of how deployments did, minute by minute, and Azure Monitor's metrics made of it."""
