"""Online endpoints on the wire."""
