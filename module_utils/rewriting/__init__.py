# SPDX-License-Identifier: GPL-3.0-or-later
"""References to mapped places in text: found, rewritten whole, or reported. Pure: text in, edits and reasons out."""
