# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a Compose project by asking Docker Compose, and report what it holds."""
