# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of the service roles share."""
