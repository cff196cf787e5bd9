# SPDX-License-Identifier: GPL-3.0-or-later
"""What `service_probe` asks: one file for each service, and what they share."""
