# SPDX-License-Identifier: GPL-3.0-or-later
"""The criteria of the source text, in the project's words, and what checks each of them.

The letter names the part of the source text: G the validation gate, R the rules, F and N the requirements, S the steps
and their checklists, A the acceptance criteria, B the rollback plan, I the common issues, M the success metrics. The
numbers count the lines of a part. The tests in catalog.py name the criteria that they cover; `steps` names other
places, each as `file: text that is in it`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Criterion:
    """A line of the source text."""

    number: str
    text: str
    steps: tuple[str, ...] = ()


PARTS = {
    "G": "Validation gate",
    "R": "Rules",
    "F": "Functional requirements",
    "N": "Non-functional requirements",
    "S": "Steps and their checklists",
    "A": "Acceptance criteria",
    "B": "Rollback plan",
    "I": "Common issues",
    "M": "Success metrics",
}

PREFLIGHT = "roles/core/tasks/plan.yml: Inspect the machine, run the preflight checks and plan"
CONTAINER = "library/core_container_check.py: The integration test of directories and networks"
MIGRATE = "roles/trade2025/tasks/migrate.yml: Ensure the applications are in the new tree"
PATHS = "molecule/trade2025/verify.yml: Fail if a path, a network or a setting was not migrated"
DEPLOY = "roles/core/tasks/deploy.yml: Deploy {{ core_service_name }}"
FRAGMENT = "roles/core/templates/compose.yml.j2: healthcheck:"
SOURCE = "library/trade_source_info.py: trade_source_info"
DOCUMENT = "roles/trade2025/templates/MIGRATION.md.j2: | setting | Trade2025 | Trade2026 | why |"
IMAGES = "roles/image/tasks/plan.yml: image_plan"

CRITERIA = (
    Criterion("G1.1", "The ten top-level directories exist.", (PREFLIGHT, "module_utils/preflight/tree.py: director")),
    Criterion(
        "G1.2",
        "The directories that the services need exist.",
        (PREFLIGHT, "roles/core/tasks/machine.yml: Ensure the planned directories exist"),
    ),
    Criterion(
        "G1.3", "The document on the directory structure exists.", ("roles/core/tasks/plan.yml: required_documents",)
    ),
    Criterion("G1.4", "The check of the directories reports no error.", (PREFLIGHT,)),
    Criterion("G2.1", "The frontend network exists.", (PREFLIGHT,)),
    Criterion("G2.2", "The lowlatency network exists.", (PREFLIGHT,)),
    Criterion("G2.3", "The backend network exists.", (PREFLIGHT,)),
    Criterion("G2.4", "Each network has its subnet.", ("module_utils/preflight/engine.py: subnet",)),
    Criterion("G2.5", "The check of the networks reports no error.", (PREFLIGHT,)),
    Criterion("G3.1", "A container can mount the directories.", (CONTAINER,)),
    Criterion("G3.2", "A container on the networks can use the directories.", (CONTAINER,)),
    Criterion("G3.3", "The test container ends with exit code 0.", (CONTAINER,)),
    Criterion("G3.4", "It reports no permission or access error.", (CONTAINER,)),
    Criterion(
        "G4.1",
        "Nothing is deployed unless every check before it passed.",
        ("molecule/trade2026/verify.yml: Expect every failure in one list",),
    ),
    Criterion(
        "R1", "A source file is read before it is rewritten.", ("playbooks/plan_machine.yml: Read the source", SOURCE)
    ),
    Criterion("R2", "Every path is rewritten.", (MIGRATE, PATHS)),
    Criterion("R3", "Every network name is rewritten.", (MIGRATE, PATHS)),
    Criterion("R4", "Each service is tested before the next one.", ("roles/core/defaults/main.yml: core_batch",)),
    Criterion("R5.config", "Settings, health checks and limits are complete and in force.", (FRAGMENT,)),
    Criterion("R5.component", "Component tests: each service by itself, including what it must refuse."),
    Criterion("R5.integration", "Integration tests: the services together."),
    Criterion("R5.performance", "Performance tests: load and latency."),
    Criterion(
        "R5.persistence",
        "Persistence tests: data survives a restart.",
        ("tests/integration/test_persistence.py: test_data_survives_a_restart_of_every_container",),
    ),
    Criterion("R5.network", "Network tests: the services reach each other."),
    Criterion("R5.choices", "Every configuration choice is explained.", (DOCUMENT,)),
    Criterion("R5.results", "Every test result is documented.", ("roles/core/tasks/validate.yml: Write the report",)),
    Criterion(
        "R5.issues",
        "Every issue is noted, with its decision.",
        ("module_utils/compose_source/findings.py: findings", DOCUMENT),
    ),
    Criterion("R6.1", "Components come from official sources.", (IMAGES, "docs/images.md: registry")),
    Criterion("R6.2", "Versions are released ones, and recorded.", ("module_utils/images/lock.py: digest",)),
    Criterion(
        "R6.3", "The source of each component is documented.", ("docs/images.md: official", "docs/dependencies.md: |")
    ),
    Criterion("F1", "The Compose file of the core services is migrated.", (SOURCE, DOCUMENT)),
    Criterion("F2", "All paths point to Trade2026.", (MIGRATE, PATHS)),
    Criterion("F3", "All network references are those of Trade2026.", (MIGRATE, PATHS)),
    Criterion("F4", "Each service has its configuration directory.", ("module_utils/services/record.py: directories",)),
    Criterion("F5", "Each service is tested individually.", ("roles/core/tasks/deploy.yml: service_probe",)),
    Criterion(
        "N1",
        "No data of Trade2025 is lost or modified.",
        (
            "tests/integration/test_main_job.py: test_the_source_tree_is_not_modified",
            "tests/integration/test_live_data.py: test_the_source_is_not_modified",
        ),
    ),
    Criterion(
        "N2",
        "A second run changes nothing.",
        (
            "tests/integration/test_main_job.py: test_a_second_run_and_a_dry_run_change_nothing",
            "molecule/shared/expect_no_changes.yml: Fail if the dry run predicted a change",
        ),
    ),
    Criterion("N3", "Each service can be tested by itself.", ("roles/core/tasks/alone.yml: service",)),
    Criterion("S1.1", "The source file was read.", (SOURCE,)),
    Criterion("S1.2", "Its services are known.", (SOURCE,)),
    Criterion("S1.3", "Its volumes are known.", (SOURCE,)),
    Criterion("S1.4", "Its networks are known.", (SOURCE,)),
    Criterion(
        "S1.5", "The source was analyzed before anything was written.", ("playbooks/plan_machine.yml: Read the source",)
    ),
    Criterion(
        "S2.1",
        "The Compose file is in infrastructure/docker.",
        ("playbooks/vars/documents.yml: docker-compose.core.yml",),
    ),
    Criterion(
        "S2.2",
        "It defines all eight services.",
        ("tests/integration/test_compose_by_hand.py: test_ps_shows_eight_healthy_services",),
    ),
    Criterion("S2.3", "It refers to the networks of Trade2026."),
    Criterion("S2.4", "It mounts the directories below data/."),
    Criterion("S2.5", "Every service has a health check.", (FRAGMENT,)),
    Criterion("S2.6", "The configuration was created.", (DEPLOY,)),
    Criterion("S3.1", "authn has its configuration.", ("roles/authn/vars/main.yml: config/config.yaml.j2",)),
    Criterion("S3.2", "OPA has the example policy.", ("roles/opa/vars/main.yml: example_policy.rego",)),
    Criterion("S3.3", "SeaweedFS has its S3 identities.", ("roles/seaweedfs/vars/main.yml: s3.json",)),
    Criterion("S3.4", "The configurations were created.", (DEPLOY,)),
    Criterion("S4.1", "The sources of authn were copied.", (MIGRATE,)),
    Criterion("S4.2", "The sources of OPA's image were copied.", (MIGRATE,)),
    Criterion("S4.3", "No path of Trade2025 is left in them.", (PATHS,)),
    Criterion("S4.4", "The applications were migrated.", (MIGRATE,)),
    Criterion("S5.1", "All eight containers were started.", (DEPLOY,)),
    Criterion("S5.2", "No error is in the logs."),
    Criterion("S5.3", "All containers run."),
    Criterion("S5.4", "The services were started.", (DEPLOY,)),
    Criterion("S6.1", "NATS answers on 4222 and 8222."),
    Criterion("S6.2", "Valkey answers on 6379, and keeps a value."),
    Criterion("S6.3", "QuestDB answers on 9000 and 8812, and runs a query."),
    Criterion("S6.4", "ClickHouse answers on its HTTP and native ports, and runs a query."),
    Criterion("S6.5", "SeaweedFS answers on 8333 and 9333, and its cluster has a leader."),
    Criterion("S6.6", "OpenSearch answers on 9200 and has its node."),
    Criterion("S6.7", "authn answers on 8114 and publishes its keys."),
    Criterion("S6.8", "OPA answers on 8181 and evaluates the example policy."),
    Criterion("S6.9", "All services were validated.", ("playbooks/core.yml: Verify the other services",)),
    Criterion("A1.1", "The Compose file exists.", ("playbooks/vars/documents.yml: docker-compose.core.yml",)),
    Criterion("A1.2", "All paths are those of Trade2026.", (MIGRATE, PATHS)),
    Criterion("A1.3", "All networks are those of Trade2026."),
    Criterion("A1.4", "The services' configurations exist.", (DEPLOY,)),
    Criterion("A2.1", "authn is in backend/apps.", (MIGRATE,)),
    Criterion("A2.2", "opa_authorizer is in backend/apps.", (MIGRATE,)),
    Criterion("A2.3", "No path of Trade2025 is left.", (PATHS,)),
    Criterion("A3.1", "All eight containers run."),
    Criterion("A3.2", "All containers are healthy."),
    Criterion(
        "A3.3", "No error is in the logs.", ("tests/integration/test_compose_by_hand.py: test_logs_hold_no_errors",)
    ),
    Criterion("A4.1", "Each service answers its health check."),
    Criterion("A4.2", "JetStream works."),
    Criterion("A4.3", "Valkey stores and returns a value."),
    Criterion("A4.4", "QuestDB answers queries."),
    Criterion("A4.5", "ClickHouse answers queries."),
    Criterion("A4.6", "The SeaweedFS cluster is in order."),
    Criterion("A4.7", "The OpenSearch cluster is healthy."),
    Criterion("A4.8", "authn issues tokens."),
    Criterion("A4.9", "OPA evaluates policies."),
    Criterion(
        "B1",
        "All services can be stopped.",
        ("playbooks/stop.yml: Ensure the services are stopped", "docs/operations.md: playbooks/stop.yml"),
    ),
    Criterion("B2", "One service can be started and examined alone.", ("README.md: --limit valkey",)),
    Criterion(
        "B3",
        "The containers can be removed completely, and the job run again.",
        ("playbooks/purge.yml: Ensure what the project created is absent",),
    ),
    Criterion(
        "I1", "A port in use is reported with its remedy.", ("molecule/error-messages/verify.yml: a port in use",)
    ),
    Criterion(
        "I2",
        "A directory without permission is reported or corrected.",
        (CONTAINER, "module_utils/probes/causes.py: permission"),
    ),
    Criterion(
        "I3",
        "A missing source of an image is reported.",
        ("module_utils/migration/options.py: has no folder",),
    ),
    Criterion("I4", "An unhealthy service is reported with its log.", ("module_utils/probes/report.py: log",)),
    Criterion("M1", "All eight services are healthy."),
    Criterion("M2", "All health checks pass."),
    Criterion("M3", "No error messages."),
    Criterion("M4", "The services reach each other by Docker DNS."),
    Criterion("M5", "The platform is ready for the applications."),
)
