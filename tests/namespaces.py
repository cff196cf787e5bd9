# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces in which a test starts engines and systems that leave nothing behind on the machine."""

from __future__ import annotations

# Bridges, firewall rules, mounts and processes end with the program, which is killed when the tests die.
UNSHARE = ("unshare", "--fork", "--kill-child", "--net", "--mount", "--pid", "--mount-proc")
ISOLATE = ("setpriv", "--pdeathsig=KILL", *UNSHARE)
