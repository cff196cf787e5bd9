# SPDX-License-Identifier: GPL-3.0-or-later
"""Look once, plan, then act: the observation of a machine, the plan, the saved plan, the journal."""
