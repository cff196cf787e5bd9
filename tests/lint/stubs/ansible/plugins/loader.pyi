# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the plugin loader that this project uses."""

class PluginLoader:
    def add_directory(self, directory: str) -> None: ...

fragment_loader: PluginLoader
