"""Commands about rights: `role ...`, `access ...` and `ml registry who-can`."""
