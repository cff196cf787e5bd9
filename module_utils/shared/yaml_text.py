# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML, read by libyaml if PyYAML was built with it: that is about eight times as fast as its Python parser."""

from __future__ import annotations

from typing import Any


def load_yaml(text: str) -> Any:
    """The value of a YAML document; raises yaml.YAMLError."""
    # Imported here, because a module that reads no YAML works on a machine without PyYAML.
    import yaml

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
