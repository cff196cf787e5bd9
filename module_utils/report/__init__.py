# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run: from its result (docs/report.schema.json) to a page, JSON and JUnit XML."""

# Where reports are kept, below the folder of a deployment.
REPORTS = "docs/reports"
