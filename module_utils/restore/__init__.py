# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollback of a service: what a restore point holds, and whether an older version reads the data of a newer one."""
