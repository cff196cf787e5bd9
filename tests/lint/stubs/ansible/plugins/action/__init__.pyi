# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of ActionBase that this project uses."""

from typing import Any

class ActionBase:
    TRANSFERS_FILES: bool
    _VALID_ARGS: frozenset[str]
    _task: Any
    _connection: Any
    _play_context: Any
    _loader: Any
    _templar: Any
    _shared_loader_obj: Any
    _display: Any
    def run(self, tmp: str | None = ..., task_vars: dict[str, Any] | None = ...) -> dict[str, Any]: ...
    def _execute_module(
        self,
        module_name: str | None = ...,
        module_args: dict[str, Any] | None = ...,
        tmp: str | None = ...,
        task_vars: dict[str, Any] | None = ...,
        persist_files: bool = ...,
        delete_remote_tmp: bool | None = ...,
        wrap_async: bool = ...,
        ignore_unknown_opts: bool = ...,
    ) -> dict[str, Any]: ...
    def _configure_module(self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> Any: ...
    def _find_needle(self, dirname: str, needle: str) -> str: ...
    def validate_argument_spec(
        self, argument_spec: dict[str, Any] | None = ..., **kwargs: Any
    ) -> tuple[Any, dict[str, Any]]: ...
