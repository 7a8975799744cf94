"""What lets many callers of one process work on the same documents: locks, retries, combined commits, memory."""
