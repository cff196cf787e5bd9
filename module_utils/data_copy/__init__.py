# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the live data of stopped services: verified, resumable, the source untouched."""
