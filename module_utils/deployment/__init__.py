# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspect once, plan, then apply: the observation of a machine, the plan, the saved plan, the journal."""
