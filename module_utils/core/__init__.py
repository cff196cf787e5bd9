"""What the modules of the service roles share."""
