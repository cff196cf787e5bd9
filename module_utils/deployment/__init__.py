# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspect once, plan, then apply: the observation of a machine, the plan, the saved plan, the journal."""

from pathlib import Path

# Where a deployment keeps its own state, below its root.
FOLDER = Path(".trade2026")
