"""What `service_probe` asks: one file for each service, and what they share."""
