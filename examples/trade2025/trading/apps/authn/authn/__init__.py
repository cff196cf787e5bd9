# SPDX-License-Identifier: GPL-3.0-or-later
"""authn: an OAuth 2.0 issuer of access tokens for services (client credentials grant, RFC 6749 section 4.4)."""

__version__ = "2.4.0"
