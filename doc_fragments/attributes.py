# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the attributes that many modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """`attributes.read_only` and `attributes.no_diff`."""

    READ_ONLY = r"""
attributes:
  check_mode:
    description: Changes nothing in either mode.
    support: full
"""

    NO_DIFF = r"""
attributes:
  diff_mode:
    description: There is nothing to show.
    support: none
"""
