"""Copy the live data of stopped services: verified, resumable, the source untouched."""
