# SPDX-License-Identifier: GPL-3.0-or-later
"""The preflight checks: what must hold before anything is deployed. Each is a function from facts to results."""
