# SPDX-License-Identifier: GPL-3.0-or-later
"""What action plugins share. It runs on the controller and is part of no module."""
