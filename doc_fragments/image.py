# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options that the modules for images share."""

from __future__ import annotations


class ModuleDocFragment:
    """`image`, `image.prefix`, `image.archive` and `image.signatures`, for `extends_documentation_fragment`."""

    DOCUMENTATION = r"""
options:
  lock:
    description: File with the digests of official images.
    type: path
    required: true
  root:
    description: Folder that build contexts are relative to.
    type: path
    required: true
"""

    PREFIX = r"""
options:
  prefix:
    description: Registry or mirror in front of official names.
    type: str
    default: ""
"""

    ARCHIVE = r"""
options:
  archive:
    description: Folder of a bundle, for O(source=archive).
    type: path
  archive_sha256:
    description: SHA-256 of its bundle.json. If empty, it is not compared.
    type: str
    default: ""
"""

    SIGNATURES = r"""
options:
  signatures:
    description: Image name to who must have signed it, in the format of the variable C(image_signatures).
    type: dict
    default: {}
"""
