"""Roles and who holds them: the deciding part of access control. The door is `domain/access.py`."""
