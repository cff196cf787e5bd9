"""Which image a service runs, where it comes from, and whether it is there."""
