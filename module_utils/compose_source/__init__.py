"""Read a Compose project as Compose does, without a container engine."""
