# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of plugin_docs that this project uses."""

from typing import Any

from ansible.plugins.loader import PluginLoader

def add_fragments(
    doc: dict[str, Any], filename: str, fragment_loader: PluginLoader, is_module: bool = False
) -> None: ...
