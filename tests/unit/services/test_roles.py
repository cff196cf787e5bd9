# SPDX-License-Identifier: GPL-3.0-or-later
"""The eight roles are valid for the schema, and nothing in them depends on the name of their host."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible.module_utils.controller.variables import read_variables
from ansible.module_utils.services.schema import parse
from role_dictionaries import ROOT, SERVICES, record


@pytest.mark.parametrize("service", SERVICES)
def test_a_role_declares_a_service(service: str) -> None:
    built = record(service)
    assert built.name == built.role == built.container == service
    assert built.ports
    assert built.probes
    for file in built.files:
        assert (ROOT / f"roles/{service}/templates" / file.template).is_file()
    for credentials in built.credentials:
        assert any(credentials in (secret.path, secret.plain) for secret in built.secrets), credentials


@pytest.mark.parametrize("service", SERVICES)
def test_two_services_of_one_role_share_nothing_but_the_role(service: str) -> None:
    """Except for the host ports, which a site sets."""
    one, two = record(service), record(service, host="another")
    assert (two.role, two.container, two.fragment) == (service, "another", "infrastructure/docker/services/another.yml")
    for names in ("directories", "files", "secrets"):
        paths = [{getattr(entry, "path", "") or entry.dest for entry in getattr(each, names)} for each in (one, two)]
        assert not paths[0] & paths[1]
        assert len(paths[0]) == len(paths[1])
    volumes = [{volume.path for volume in each.volumes} for each in (one, two)]
    assert not volumes[0] & volumes[1]
    assert not set(one.credentials) & set(two.credentials)


@pytest.mark.parametrize("service", SERVICES)
def test_no_record_holds_a_secret_of_the_site(service: str) -> None:
    variables = read_variables(ROOT / f"roles/{service}/defaults/main.yml").values()
    secrets = {variable.name: "hunter2-hunter2" for variable in variables if variable.kind == "secret"}
    if service == "authn":
        secrets["authn_client_secrets"] = {"srv:oms": "hunter2-hunter2"}
    built = record(service, **secrets)
    assert "hunter2" not in json.dumps(built.to_dict())
    assert set(secrets) == {secret.variable for secret in built.secrets if secret.variable}


@pytest.mark.parametrize("service", SERVICES)
def test_a_bound_has_the_kinds_of_its_variables(service: str) -> None:
    variables = read_variables(ROOT / f"roles/{service}/defaults/main.yml")
    bounds = record(service).bounds
    written = (ROOT / f"roles/{service}/vars/main.yml").read_text(encoding="utf-8")
    assert len(bounds) == written.count("    - setting: ") - written.partition("migration_notes:")[2].count(
        "    - setting: "
    )
    for bound in yaml.safe_load(written)[f"{service}_service"].get("bounds", []):
        for setting, kind in (("setting", "kind"), ("max_setting", "max_kind")):
            variable = variables.get(bound[setting])
            if variable is not None:
                declared = bound.get(kind, "count_or_0")
                assert declared == variable.kind or (declared, variable.kind) == ("count_or_0", "count"), bound[setting]


def test_the_path_map_leads_to_the_data_of_every_service_that_keeps_data() -> None:
    with_data = set()
    for service in SERVICES:
        built = record(service)
        data = {volume.source for volume in built.volumes if volume.kind == "data"}
        assert data <= {row.target for row in built.path_map}, service
        with_data |= {service} if data else set()
    assert with_data == set(SERVICES) - {"authn", "opa"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_of_another_prefix_and_offset_changes_nothing_else(service: str) -> None:
    plain, moved = record(service), record(service, core_container_prefix="t-", core_port_offset="100")
    assert moved.container == f"t-{plain.container}"
    assert [port.host for port in moved.ports] == [port.host + 100 for port in plain.ports]
    assert moved.volumes == plain.volumes


def test_a_custom_service_is_three_small_files() -> None:
    """As docs/adding-a-service.md promises; its scenario runs it."""
    role = ROOT / "molecule/custom-service/roles/pages"
    files = [file for file in role.rglob("*") if file.is_file()]
    assert len(files) == 3
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files) < 40
    variables = read_variables(role / "defaults/main.yml")
    dictionary = yaml.safe_load((role / "vars/main.yml").read_text(encoding="utf-8"))["pages_service"]
    assert parse({**dictionary, "ports": [{"name": "http", "host": 8088, "container": 8080}]}, "pages_service")
    assert set(variables) == {"pages_image", "pages_port"}


def test_every_service_role_has_the_same_single_include() -> None:
    found = set()
    for file in [
        *(ROOT / f"roles/{name}/tasks/main.yml" for name in SERVICES),
        *ROOT.glob("molecule/*/roles/pages/tasks/main.yml"),
    ]:
        (task,) = yaml.safe_load(file.read_text(encoding="utf-8"))
        role = file.parent.parent.name
        found.add(json.dumps({key: value for key, value in task.items() if key != "name"}).replace(role, "ROLE"))
    assert len(found) == 1, found
