"""What the server asks of itself."""
