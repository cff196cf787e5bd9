# SPDX-License-Identifier: GPL-3.0-or-later
"""What action plugins share. It runs on the controller only and is not sent with any module."""
