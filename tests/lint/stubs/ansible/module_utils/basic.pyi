# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of AnsibleModule that this project uses."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

def missing_required_lib(library: str, reason: str | None = ..., url: str | None = ...) -> str: ...
def env_fallback(*args: str, **kwargs: str) -> str: ...

class AnsibleModule:
    params: dict[str, Any]
    check_mode: bool
    tmpdir: str
    _diff: bool
    def __init__(
        self,
        argument_spec: Mapping[str, Mapping[str, Any]],
        *,
        bypass_checks: bool = ...,
        no_log: bool = ...,
        mutually_exclusive: Sequence[Sequence[str]] | None = ...,
        required_together: Sequence[Sequence[str]] | None = ...,
        required_one_of: Sequence[Sequence[str]] | None = ...,
        required_if: Sequence[Sequence[Any]] | None = ...,
        required_by: Mapping[str, Sequence[str]] | None = ...,
        add_file_common_args: bool = ...,
        supports_check_mode: bool = ...,
    ) -> None: ...
    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn: ...
    def exit_json(self, **kwargs: Any) -> NoReturn: ...
    def warn(self, warning: str) -> None: ...
    def debug(self, msg: str) -> None: ...
    def log(self, msg: str) -> None: ...
    def deprecate(self, msg: str, version: str | None = ..., date: str | None = ...) -> None: ...
    def add_cleanup_file(self, path: str) -> None: ...
    def atomic_move(self, src: str, dest: str, unsafe_writes: bool = ...) -> None: ...
    def sha256(self, filename: str) -> str: ...
    def get_bin_path(self, arg: str, required: bool = ..., opt_dirs: Sequence[str] | None = ...) -> str: ...
    def set_mode_if_different(self, path: str, mode: int | str | None, changed: bool) -> bool: ...
    def set_owner_if_different(self, path: str, owner: str | None, changed: bool) -> bool: ...
    def set_group_if_different(self, path: str, group: str | None, changed: bool) -> bool: ...
    def run_command(
        self,
        args: str | Sequence[str],
        check_rc: bool = ...,
        executable: str | None = ...,
        data: str | bytes | None = ...,
        binary_data: bool = ...,
        path_prefix: str | None = ...,
        cwd: str | None = ...,
        use_unsafe_shell: bool = ...,
        environ_update: Mapping[str, str] | None = ...,
        umask: int | None = ...,
        encoding: str | None = ...,
        errors: str = ...,
        expand_user_and_vars: bool = ...,
        pass_fds: Sequence[int] | None = ...,
        handle_exceptions: bool = ...,
        before_communicate_callback: Callable[[Any], None] | None = ...,
    ) -> tuple[int, str, str]: ...
