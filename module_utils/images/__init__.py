# SPDX-License-Identifier: GPL-3.0-or-later
"""Which image a service runs, where it comes from, and whether the machine has it."""
