# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollbacks in a plan: the class of a change of version, and a rollback that was interrupted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible.module_utils.deployment.model import DesiredMachine, Observed, ObservedBackup, ObservedService, Plan
from ansible.module_utils.deployment.plan import class_of_change, plan, relies_on
from ansible.module_utils.preflight.rollback import check_rollback
from test_operations import CONTAINER, NETWORK, SEEN_NETWORK, VALKEY

NEWER = replace(VALKEY, image="valkey:9", image_id="sha256:9", role="valkey", version="9.1.0", has_data=True)
RUNS = ObservedService(containers=(CONTAINER,), version="8.1.8")


def planned(want: object, seen: ObservedService) -> Plan:
    desired = DesiredMachine("core", (), (replace(NEWER, **want) if isinstance(want, dict) else NEWER,))
    return plan(desired, Observed({"valkey": seen}, {NETWORK: SEEN_NETWORK}))


def test_the_plan_says_what_a_rollback_would_need() -> None:
    (line,) = [line for line in planned({}, RUNS).text.splitlines() if "start image" in line]
    assert "another image is declared; going back: image and data, " in line


def test_an_image_of_the_same_version_can_be_rolled_back() -> None:
    found = class_of_change(replace(NEWER, version="8.1.8"), RUNS)
    assert found is not None
    assert found.kind == "image_only"


def test_a_service_without_data_can_be_rolled_back() -> None:
    found = class_of_change(replace(NEWER, has_data=False), RUNS)
    assert found is not None
    assert found.kind == "image_only"


@pytest.mark.parametrize(
    ("want", "seen"), [({}, ObservedService()), ({"image_known": False}, RUNS)], ids=["first", "unknown image"]
)
def test_nothing_is_reported_if_nothing_is_known(want: dict[str, object], seen: ObservedService) -> None:
    assert class_of_change(replace(NEWER, **want), seen) is None  # type: ignore[arg-type]


def test_an_upgrade_that_cannot_be_rolled_back_is_refused_until_it_is_accepted() -> None:
    (refused,) = check_rollback([NEWER], {"valkey": RUNS}, [])
    assert not refused.ok
    assert "from version 8.1.8 to 9.1.0" in refused.message
    assert "core_accept_no_rollback: [valkey]" in refused.remedy
    assert all(result.ok for result in check_rollback([NEWER], {"valkey": RUNS}, ["valkey"]))
    assert all(result.ok for result in check_rollback([replace(NEWER, version="8.1.8")], {"valkey": RUNS}, []))


FRESH = ObservedBackup(3, "backup 3 of 2026-11-26T06:12:22Z", "")


def test_a_fresh_backup_is_enough_and_the_plan_names_it() -> None:
    seen = replace(RUNS, backup=FRESH)
    assert all(result.ok for result in check_rollback([NEWER], {"valkey": seen}, []))
    (line,) = [line for line in planned({}, seen).text.splitlines() if "start image" in line]
    assert "relies on backup 3 of 2026-11-26T06:12:22Z" in line
    assert relies_on(class_of_change(NEWER, seen), seen) == FRESH


def test_a_fresh_backup_is_enough_for_a_change_that_nobody_tried() -> None:
    seen = replace(RUNS, backup=FRESH)
    assert all(result.ok for result in check_rollback([replace(NEWER, version="99.0")], {"valkey": seen}, []))


def test_a_backup_that_is_not_fresh_is_refused_with_the_reason() -> None:
    seen = replace(RUNS, backup=replace(FRESH, stale="it is 30.0 hours old"))
    (refused,) = check_rollback([NEWER], {"valkey": seen}, [])
    assert "backup 3 of 2026-11-26T06:12:22Z is not fresh: it is 30.0 hours old" in refused.message
    assert "playbooks/backup.yml --limit valkey" in refused.remedy
    assert "relies on" not in planned({}, seen).text


def test_without_a_backup_the_refusal_says_so() -> None:
    (refused,) = check_rollback([NEWER], {"valkey": RUNS}, [])
    assert "there is no backup of its data" in refused.message


def test_a_change_that_keeps_the_data_relies_on_no_backup() -> None:
    seen = replace(RUNS, backup=FRESH)
    assert relies_on(class_of_change(replace(NEWER, version="8.1.9"), seen), seen) is None


def test_a_version_that_is_not_known_is_refused_too() -> None:
    (refused,) = check_rollback([NEWER], {"valkey": replace(RUNS, version="")}, [])
    assert not refused.ok
    assert "unknown" in refused.message


def test_an_interrupted_rollback_is_completed_while_the_failed_state_is_declared() -> None:
    (line,) = planned({}, replace(RUNS, rollback_to=3, failed_is_declared=True)).text.splitlines()[:1]
    assert line.startswith("valkey: restore rollback: interrupted -> restore point 3 ")


def test_an_interrupted_rollback_is_abandoned_when_another_state_is_declared() -> None:
    (line,) = planned({}, replace(RUNS, rollback_to=3)).text.splitlines()[:1]
    assert line.startswith("valkey: start rollback: interrupted -> as declared ")
