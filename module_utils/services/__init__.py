# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service role declares: the kinds of its values, the schema of its dictionary, the record built from both."""
