# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes of `service_probe`: one file for each service, and what they share."""
