"""From what a client sent to versions that are visible: drafts, comparison, one commit. The door is `catalog.py`."""
