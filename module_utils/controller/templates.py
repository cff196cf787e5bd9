# SPDX-License-Identifier: GPL-3.0-or-later
"""Render templates on the controller as `ansible.builtin.template` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.template import trust_as_template


def rendered(file: Mapping[str, Any], templar: Any, loader: Any, variables: Mapping[str, Any]) -> dict[str, Any]:
    """`file` with `template` (a path on the controller) replaced by its rendered `content`."""
    result = dict(file)
    name = result.pop("template", None)
    if name is None:
        return result
    source = Path(str(name))
    if not source.is_file():
        raise AnsibleActionFail(f"{source}: no such template; give its full path on the controller")
    try:
        result["content"] = render(source, templar, loader, variables)
    except Exception as error:
        raise AnsibleActionFail(f"{_place(source, error)}: cannot be rendered: {error}") from error
    return result


def render(source: Path, templar: Any, loader: Any, variables: Mapping[str, Any]) -> str:
    """One template, with trimmed blocks and `ansible_managed`."""
    # A constant text: the host names and times that older Ansible versions insert would change the file at every run.
    available = {"ansible_managed": str(constants.config.get_config_value("DEFAULT_MANAGED_STR")), **variables}
    engine = templar.copy_with_new_env(
        searchpath=[str(source.parent), str(source.parent.parent)], available_variables=available
    )
    # The loader marks its text with the name of the file, which Ansible's messages then show.
    text = trust_as_template(loader.get_text_file_contents(str(source)))
    result = engine.template(
        text,
        escape_backslashes=False,
        overrides={"trim_blocks": True, "lstrip_blocks": True, "newline_sequence": "\n"},
    )
    return "" if result is None else str(result)


def _place(source: Path, error: BaseException) -> str:
    """The template, with the line at which Jinja's parser stopped; other errors have no line number."""
    cause: BaseException | None = error
    while cause is not None and not hasattr(cause, "lineno"):
        cause = cause.__cause__
    return str(source) if cause is None else f"{source}:{cause.lineno}"
