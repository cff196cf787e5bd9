"""Render templates on the controller and hand all of them to the module `managed_files` in one call.

One module process writes every file of a service, where `ansible.builtin.template` needs two for each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible._internal._templating import _template_vars
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template


class ActionModule(ActionBase):
    """Turns `files[].template` into `files[].content`; everything else passes unchanged."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = dict(task_vars or {})
        args = dict(self._task.args)
        args["files"] = [self._rendered(dict(file), task_vars) for file in args.get("files") or []]
        result.update(
            self._execute_module(
                module_name="managed_files",
                module_args=args,
                task_vars=task_vars,
            )
        )
        return result

    def _rendered(self, file: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Replace `template` (a path on the controller) by its rendered `content`."""
        name = file.pop("template", None)
        if name is None:
            return file
        source = Path(str(name))
        if not source.is_file():
            raise AnsibleActionFail(f"{source}: no such template; give its full path on the controller")
        try:
            file["content"] = self._render(source, str(file.get("dest", "")), task_vars)
        except Exception as error:
            raise AnsibleActionFail(f"{_place(source, error)}: cannot be rendered: {error}") from error
        return file

    def _render(self, source: Path, dest: str, task_vars: dict[str, Any]) -> str:
        """Render one template as `ansible.builtin.template` does, with its trimmed blocks and `ansible_managed`."""
        variables = dict(task_vars)
        variables.update(
            _template_vars.generate_ansible_template_vars(
                path=source.name,
                fullpath=str(source),
                dest_path=dest,
                include_ansible_managed="ansible_managed" not in variables,
            )
        )
        templar = self._templar.copy_with_new_env(
            searchpath=[str(source.parent), str(source.parent.parent)], available_variables=variables
        )
        # The loader's text knows which file it came from, and Ansible's message says so.
        text = trust_as_template(self._loader.get_text_file_contents(str(source)))
        rendered = templar.template(
            text,
            escape_backslashes=False,
            overrides={"trim_blocks": True, "lstrip_blocks": True, "newline_sequence": "\n"},
        )
        return "" if rendered is None else str(rendered)


def _place(source: Path, error: BaseException) -> str:
    """The template, with the line where Jinja's parser stopped: its error alone has one."""
    cause: BaseException | None = error
    while cause is not None and not hasattr(cause, "lineno"):
        cause = cause.__cause__
    return str(source) if cause is None else f"{source}:{cause.lineno}"
