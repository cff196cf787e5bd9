# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether changes of versions can be rolled back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible.module_utils.deployment.model import DesiredService, ObservedService
from ansible.module_utils.deployment.plan import class_of_change, relies_on
from ansible.module_utils.preflight.result import Result, failed, passed


def check_rollback(
    services: Sequence[DesiredService], seen: Mapping[str, ObservedService], accepted: Sequence[str]
) -> list[Result]:
    """A version whose data the previous version cannot read needs a fresh backup, or the site's acceptance."""
    results = []
    for service in services:
        have = seen.get(service.name, ObservedService())
        found = class_of_change(service, have)
        if found is None or found.kind == "image_only" or service.name in accepted or relies_on(found, have):
            continue
        no_backup = (
            f"{have.backup.text} is not fresh: {have.backup.stale}" if have.backup else "there is no backup of its data"
        )
        results.append(
            failed(
                f"rollback of {service.name}",
                f"it may be impossible to roll back the change from version {have.version or 'unknown'} to "
                f"{service.version or 'unknown'} and keep the data ({found.kind.replace('_', ' ')}): {found.reason} "
                f"({found.source}); {no_backup}",
                f"back up its data (`ansible-playbook playbooks/backup.yml --limit {service.name}`) and run again soon,"
                f" or set core_accept_no_rollback: [{service.name}]",
            )
        )
    return results or [passed("rollback", "every change of a version can be rolled back, or is accepted")]
