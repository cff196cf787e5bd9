"""Read a Compose project by asking Docker Compose, and report what it holds."""
