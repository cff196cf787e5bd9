# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a service back: what a restore point holds, and whether an older version reads the data of a newer one."""
