"""Routes of what a workspace has beside its assets and jobs: connections, and what is done to computes."""
