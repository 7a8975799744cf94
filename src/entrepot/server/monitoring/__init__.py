"""What this process counts of itself, and the record it keeps of what the gateway counted."""
