# SPDX-License-Identifier: GPL-3.0-or-later
"""Find references to mapped locations in text, and rewrite them or report them. Pure: returns edits and reasons."""
