"""Copying a Trade2025 tree while its paths and network names are rewritten."""
