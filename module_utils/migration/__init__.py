# SPDX-License-Identifier: GPL-3.0-or-later
"""Copying a Trade2025 tree while its paths and network names are rewritten."""
