"""Rights and the audit trail on the wire."""
