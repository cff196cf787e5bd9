# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults during a run: each ends in a converged or an unchanged system, with a message that names the cause.

After every test the value that was written first still exists. tests/integration/test_states.py has the states that
operators and crashes leave behind (paused, renamed, other networks, data of another owner, two runs at once, a lock
whose owner died); those here need an engine that may be killed, full disks, or damaged files.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible.module_utils.deployment.journal import this_run
from ansible.module_utils.deployment.model import digest
from faulty_site import BASE, CONFIG, CORE_FILE, FRAGMENT, LOCK, FaultyEngine, FaultySite, assert_refused, wait_until
from site_under_test import PROJECT_ROOT, kill_with_children, listing

quick = pytest.mark.quick


def edit(site: FaultySite, file: str = CONFIG) -> None:
    path = site.root / file
    path.write_bytes(path.read_bytes() + b"\n# by hand\n")


# ---- kill -9 --------------------------------------------------------------------------------------------------------


def work(site: FaultySite) -> None:
    """Something to do: a file to write, a container to create."""
    edit(site)
    site.docker("rm", "--force", site.container)


@pytest.fixture(scope="session")
def duration(deployed: FaultySite) -> float:
    """Seconds of a run with that work, so that the moments spread over all of it."""
    work(deployed)
    begun = time.monotonic()
    run = deployed.play()
    assert run.code == 0, run.errors
    return time.monotonic() - begun


SEED = 20261126
MOMENTS = [round(random.Random(SEED + number).random(), 3) for number in range(30)]


@pytest.mark.parametrize(
    "moment", [pytest.param(share, marks=quick if n == 0 else ()) for n, share in enumerate(MOMENTS)]
)
def test_a_run_killed_at_any_moment_is_completed_by_the_next_one(
    site: FaultySite, duration: float, moment: float
) -> None:
    declared = {file: (site.root / file).read_bytes() for file in (CONFIG, FRAGMENT, CORE_FILE)}
    work(site)
    edited = (site.root / CONFIG).read_bytes()
    process = site.begin()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=moment * duration)
    kill_with_children(process)
    # All files are complete, whatever was in progress.
    assert (site.root / CONFIG).read_bytes() in (edited, declared[CONFIG])
    assert (site.root / FRAGMENT).read_bytes() == declared[FRAGMENT]
    site.converge()
    assert {file: (site.root / file).read_bytes() for file in declared} == declared


# ---- the engine -----------------------------------------------------------------------------------------------------


def test_after_a_killed_backup_the_service_is_started_and_the_next_backup_is_intact(site: FaultySite) -> None:
    process = site.begin(playbook="playbooks/backup.yml")
    wait_until(lambda: site.state()["State"]["Status"] != "running" or process.poll() is not None)
    assert process.poll() is None, process.communicate()[0]
    kill_with_children(process)
    site.converge()
    again = site.play(playbook="playbooks/backup.yml")
    assert again.code == 0, again.errors
    numbers = [path.name for path in (site.root / ".trade2026/backups/valkey").iterdir()]
    assert all(name.isdecimal() for name in numbers), numbers
    verified = site.play(playbook="playbooks/restore_points.yml", core_verify_backups=True)
    assert verified.code == 0, verified.errors


def test_a_run_during_which_the_engine_stops_is_completed_by_the_next_one(site: FaultySite) -> None:
    work(site)
    try:
        with site.under_way() as process:
            site.engine.kill()
            run = site.end_of(process)
        unreachable = site.play()
    finally:
        site.engine.start()
    assert_refused(run, "Docker")
    assert_refused(unreachable, "Docker does not answer", "Start the engine")
    site.converge()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_validation_counts_the_records_after_a_restart_of_the_engine(site: FaultySite, how: str) -> None:
    before = site.started_at()
    with site.engine.restart_command(getattr(site.engine, how)) as command:
        run = site.play(
            playbook="playbooks/validate.yml",
            core_validate_kinds=["persistence"],
            core_validate_disruptive=True,
            core_validate_engine_restart=True,
            core_validate_engine_command=command,
        )
    assert "This interrupts every container of this machine" in run.output
    document = json.loads((site.root / "docs/reports/latest/report.json").read_text(encoding="utf-8"))
    found = {test["id"]: test for test in document["tests"]}
    restart = found["persistence.platform.engine"]
    if restart["status"] == "passed":
        assert run.code == 0, run.errors
        assert restart["evidence"]["restarted"] == 1
    else:
        # An engine that crashed treats the containers that it finds as stopped by hand; not all releases do.
        assert how == "kill", run.errors
        assert "this test has started them" in restart["message"]
        assert "treats them as stopped by hand" in restart["cause"]
        assert "run core.yml" in restart["remedy"]
        assert run.failed_hosts == {"valkey"}
    assert [test["id"] for test in found.values() if test["status"] != "passed" and test is not restart] == []
    counted = {row["fault"]: (row["acknowledged"], row["lost"], row["extra"]) for row in document["durability"]}
    assert counted == dict.fromkeys(("restart", "kill", "down", "engine"), (100, 0, 0))
    assert site.started_at() != before
    assert site.command("KEYS", "trade2026-probe-*") == ""
    site.assert_clean()


def test_an_image_removed_between_plan_and_apply_is_named(site: FaultySite) -> None:
    image = site.state()["Config"]["Image"]
    kept = f"{image.partition(':')[0]}:kept"
    work(site)
    with site.under_way() as process:
        site.docker("tag", image, kept)
        site.docker("image", "rm", image)
        run = site.end_of(process)
    site.docker("tag", kept, image)
    site.docker("image", "rm", kept)
    assert_refused(run, image)
    assert "rejected the new configuration" not in run.errors
    site.converge()


def test_a_port_taken_between_plan_and_apply_is_named(site: FaultySite) -> None:
    port = site.port(6379)
    work(site)
    taker = [
        "python3",
        "-c",
        f"import socket, time; s = socket.socket(); s.bind(('127.0.0.1', {port})); s.listen(); time.sleep(600)",
    ]
    with site.under_way() as process:
        listener = subprocess.Popen([*site.engine.enter, *taker])
        run = site.end_of(process)
    again = site.play()
    listener.kill()
    listener.wait()
    assert_refused(run, str(port))
    assert_refused(again, f"port {port}", "listens there")
    site.converge()


# ---- disks ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def full_disk(site: FaultySite, pages: int) -> Iterator[None]:
    """The site's file system with room for this many pages of 4096 bytes."""
    filler = site.root / "filler"
    with filler.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        file.truncate(max(0, filler.stat().st_size // 4096 - pages) * 4096)
    try:
        yield
    finally:
        filler.unlink()


@pytest.mark.parametrize(
    "pages", [pytest.param(pages, marks=quick if pages == 4 else ()) for pages in (0, 2, 4, 6, 8, 12)]
)
def test_a_full_disk_leaves_complete_files_and_a_service_that_runs(site: FaultySite, pages: int) -> None:
    started = site.started_at()
    before = {file: (site.root / file).read_bytes() for file in (CONFIG, FRAGMENT, CORE_FILE)}
    with full_disk(site, pages):
        run = site.play(valkey_maxclients=4000 + pages)
    if run.code != 0:
        assert_refused(run, "No space left on device", "free some space")
        # With room for its files, the service is changed, and only the restore point or the report has no room.
        assert site.started_at() == started or (pages > 4 and (site.root / CONFIG).read_bytes() != before[CONFIG])
    else:
        assert pages > 4
    site.converge()
    assert {file: (site.root / file).read_bytes() for file in before} == before


TINY = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN dd if=/dev/zero of=/filling bs=1048576 count=48
"""


@pytest.fixture
def small_engine(engine: FaultyEngine) -> Iterator[FaultyEngine]:
    """An engine that has 32 MiB for its images."""
    folder = BASE / "small"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=755", "tmpfs", str(folder)], check=True)
    small = FaultyEngine(folder)
    try:
        small.create()
        yield small
    finally:
        small.remove()
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_during_an_image_build_is_named(small_engine: FaultyEngine, tmp_path: Path) -> None:
    """The image of the recipe does not fit; with more room, the same run builds it."""
    recipes = tmp_path / "recipes"
    shutil.copytree(PROJECT_ROOT / "roles/image/files/packages", recipes)
    (recipes / "valkey/Dockerfile").write_text(TINY, encoding="utf-8")
    recipe = (recipes / "valkey/recipe.yml").read_text(encoding="utf-8")
    (recipes / "valkey/recipe.yml").write_text(recipe.replace("from: debian13", "from: probe"), encoding="utf-8")
    site = FaultySite(root=tmp_path / "root", number=1, variables={"image_recipe_folder": str(recipes)})
    site.engine = small_engine
    small_engine.load("localhost/trade2026/probe")
    before = small_engine.docker("image", "ls", "--quiet")
    run = site.play(playbook="playbooks/images.yml")
    assert_refused(
        run, "could not be built", "No space left on device", "free some space on the disk with Docker's images"
    )
    assert small_engine.docker("ps", "--all", "--quiet") == ""
    assert small_engine.docker("image", "ls", "--quiet") == before
    subprocess.run(["mount", "-o", "remount,size=256m", str(small_engine.folder)], check=True)
    again = site.play(playbook="playbooks/images.yml")
    assert again.code == 0, again.errors
    assert "localhost/trade2026/valkey" in small_engine.docker("image", "ls", "--format", "{{.Repository}}")


@quick
def test_a_read_only_target_is_refused(site: FaultySite) -> None:
    work(site)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(site.root)], check=True)
    try:
        run = site.play()
    finally:
        subprocess.run(["mount", "-o", "remount,rw,bind", str(site.root)], check=True)
    assert_refused(run, f"the file system of {site.root} is mounted read-only", "mount it for writing")
    site.converge()


# ---- files ----------------------------------------------------------------------------------------------------------


def test_a_hand_edit_of_every_rendered_file_is_replaced_and_kept(site: FaultySite) -> None:
    files = [*(site.root / "config/infrastructure/valkey").rglob("*"), *(site.root / "infrastructure").rglob("*.yml")]
    files += [site.root / "DIRECTORY_STRUCTURE.md"]
    names = [str(path.relative_to(site.root)) for path in files if path.is_file()]
    assert {CONFIG, FRAGMENT, CORE_FILE} <= set(names)
    declared = {name: (site.root / name).read_bytes() for name in names}
    for name in names:
        edit(site, name)
    run = site.converge()
    assert {name: (site.root / name).read_bytes() for name in names} == declared
    for name in names:
        assert f"write file {name}" in run.output
        copies = list((site.root / ".trade2026/replaced").glob(f"*/{name}"))
        assert any(copy.read_bytes().endswith(b"# by hand\n") for copy in copies), name


def test_damaged_files_are_written_again(site: FaultySite) -> None:
    for name in (CONFIG, FRAGMENT, CORE_FILE):
        (site.root / name).write_bytes(b"\xff\xfe\x00 {{ not yaml: [")
    site.converge()


@quick
def test_a_damaged_lock_is_refused_and_removed_only_with_consent(site: FaultySite) -> None:
    work(site)
    (site.root / LOCK).write_bytes(b"\xff\x00")
    before = listing(site.root / "config")
    refused = site.play()
    assert_refused(refused, f"{site.root / LOCK} is damaged", "-e core_take_over=damaged-lock")
    assert listing(site.root / "config") == before
    taken = site.play("-e", "core_take_over=damaged-lock")
    assert taken.code == 0, taken.errors
    site.assert_clean()


def test_the_lock_of_another_controller_is_removed_if_its_name_is_typed(site: FaultySite) -> None:
    work(site)
    (site.root / LOCK).write_text(json.dumps({**vars(this_run("r1", "eve", 1)), "controller": "old-laptop"}))
    refused = site.play()
    assert_refused(refused, "eve on old-laptop", "-e core_take_over=old-laptop")
    assert_refused(site.play("-e", "core_take_over=another"), "eve on old-laptop")
    taken = site.play("-e", "core_take_over=old-laptop")
    assert taken.code == 0, taken.errors
    assert "this run takes over" in taken.output
    site.converge()


@pytest.mark.parametrize("damage", [b"", b"\xff\x00\n", b"null\n", b'{"event": "begin"}\n{"event": "done"}\n'])
def test_a_damaged_journal_of_a_killed_run_does_not_stop_the_next_run(site: FaultySite, damage: bytes) -> None:
    work(site)
    with site.under_way() as process:
        kill_with_children(process)
    (site.root / ".trade2026/journal/current.jsonl").write_bytes(damage)
    (site.root / ".trade2026/journal/previous.jsonl").write_bytes(damage)
    site.converge()


@pytest.mark.parametrize("damage", [b"", b"\xff\x00", b"[]", b'{"number": "x"}'])
def test_a_run_completes_despite_damaged_restore_points(site: FaultySite, damage: bytes) -> None:
    folder = site.root / ".trade2026/restore_points/valkey"
    manifests = list(folder.glob("*/manifest.json"))
    assert manifests
    for manifest in manifests:
        manifest.write_bytes(damage)
    edit(site)
    site.converge()
    listed = site.play(playbook="playbooks/restore_points.yml")
    assert "Traceback" not in listed.output


# ---- variables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "valkey_maxclients: [\n",
        "\tvalkey_maxclients: 10\n",
        "valkey_maxclients: !!python/object:os.system {}\n",
        "valkey_maxclients: {{ 10 }}\n",
        "- a\n- list\n",
        "valkey_maxclients: '{{ no_such_variable }}'\ncore_project: 'no ! such'\ncore_batch: lots\n",
    ],
)
def test_a_malformed_file_of_variables_changes_nothing(site: FaultySite, tmp_path: Path, text: str) -> None:
    """Real runs of some of the 200 cases of tests/unit/services/test_malformed_variables.py."""
    file = tmp_path / "variables.yml"
    file.write_text(text, encoding="utf-8")
    before, started = listing(site.root), site.started_at()
    run = site.play("-e", f"@{file}")
    assert_refused(run)
    assert (listing(site.root), site.started_at()) == (before, started)


# ---- secrets --------------------------------------------------------------------------------------------------------


@pytest.fixture
def secured(site: FaultySite) -> Iterator[FaultySite]:
    """The site with a password."""
    site.variables["valkey_auth_enabled"] = True
    site.converge()
    yield site
    del site.variables["valkey_auth_enabled"]
    site.converge()


def remove(file: Path) -> None:
    file.unlink()


def empty(file: Path) -> None:
    file.write_bytes(b"")


def blank(file: Path) -> None:
    file.write_bytes(b" \n")


@pytest.mark.parametrize("happens", [remove, empty, blank])
def test_a_lost_secret_is_generated_again(secured: FaultySite, happens: Callable[[Path], None]) -> None:
    file = secured.root / "secrets/valkey/password"
    before = file.read_text(encoding="utf-8").strip()
    happens(file)
    run = secured.converge()
    after = file.read_text(encoding="utf-8").strip()
    assert "secret valkey/password" in run.output
    assert after not in ("", before)
    assert secured.command("GET", "kept", password=after) == "yes"
    assert "NOAUTH" in secured.command("GET", "kept")


def test_an_unreadable_secret_gets_its_owner_and_mode_back(secured: FaultySite) -> None:
    file = secured.root / "secrets/valkey/password"
    seen = file.stat()
    file.chmod(0)
    os.chown(file, 12345, 12345)
    secured.converge()
    after = file.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (seen.st_mode, seen.st_uid, seen.st_gid)


def test_a_secret_that_is_not_text_is_refused(secured: FaultySite) -> None:
    file = secured.root / "secrets/valkey/password"
    before, started = file.read_bytes(), secured.started_at()
    file.write_bytes(b"\xff\xfe\x00\x01")
    run = secured.play()
    file.write_bytes(before)
    assert_refused(run, f"{file} is not text")
    assert secured.started_at() == started


# ---- containers -----------------------------------------------------------------------------------------------------


def test_a_service_that_crash_loops_is_named_with_its_log(site: FaultySite) -> None:
    manifest = site.root / "data/valkey/appendonlydir/appendonly.aof.manifest"
    content = manifest.read_bytes()
    site.docker("stop", site.container)
    manifest.write_bytes(b"damaged\n")
    run = site.play(valkey_maxclients=4000)
    manifest.write_bytes(content)
    assert_refused(run, "valkey", "manifest")
    site.converge()


def test_a_service_that_hangs_is_recreated(site: FaultySite) -> None:
    pid = int(site.state()["State"]["Pid"])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    for process in (*children, str(pid)):
        os.kill(int(process), 19)
    wait_until(lambda: site.state()["State"]["Health"]["Status"] == "unhealthy", 180)
    run = site.converge()
    assert "recreate health" in run.output


def test_a_service_that_is_killed_for_memory_gets_its_limit_back(site: FaultySite) -> None:
    site.docker("update", "--memory", "6m", "--memory-swap", "6m", site.container)
    subprocess.run(
        ["docker", "exec", site.container, "valkey-cli", "EVAL", "return string.rep('x', 200000000)", "0"],
        env=site.engine.environment,
        capture_output=True,
        check=False,
    )
    run = site.converge()
    assert "memory limit" in run.output


# ---- saved plans ----------------------------------------------------------------------------------------------------


def saved(site: FaultySite, folder: Path, **variables: object) -> Path:
    file = folder / "plan.json"
    run = site.play(playbook="playbooks/plan.yml", core_plan_to_save=str(file), **variables)
    assert run.code == 0, run.errors
    return file


def edit_plan(file: Path, honest: bool, **changes: object) -> None:
    """Change a saved plan; `honest` writes a checksum that fits."""
    content = json.loads(file.read_text(encoding="utf-8"))
    del content["sha256"]
    before = digest(content)
    content.update(changes)
    file.write_text(json.dumps({**content, "sha256": digest(content) if honest else before}), encoding="utf-8")


def expired(_site: FaultySite, file: Path) -> None:
    edit_plan(file, honest=True, expires="2026-01-01T00:00:00+00:00")


def edited(_site: FaultySite, file: Path) -> None:
    edit_plan(file, honest=False, created="2026-01-01T00:00:00+00:00")


def of_another_version(_site: FaultySite, file: Path) -> None:
    edit_plan(file, honest=True, project_version="0" * 64)


def of_another_site(_site: FaultySite, file: Path) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    content["machines"]["localhost"]["site"]["project"] = "another"
    edit_plan(file, honest=True, machines=content["machines"])


@pytest.fixture(scope="module")
def plan_file(deployed: FaultySite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One plan for all tests that change a copy of it."""
    deployed.docker("stop", deployed.container)
    file = saved(deployed, tmp_path_factory.mktemp("plan"))
    deployed.converge()
    return file


@pytest.mark.parametrize(
    ("happens", "says"),
    [
        pytest.param(expired, "it expired at 2026-01-01", marks=quick),
        (edited, "it was edited"),
        (of_another_version, "another version of this project"),
        (of_another_site, "another site: project was another"),
    ],
)
def test_a_stale_or_edited_plan_is_refused(
    site: FaultySite, plan_file: Path, tmp_path: Path, happens: Callable[[FaultySite, Path], None], says: str
) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(plan_file.read_bytes())
    happens(site, file)
    before = site.started_at()
    assert_refused(site.play(core_plan_to_apply=str(file)), says)
    assert site.started_at() == before


def test_a_plan_whose_image_was_replaced_is_refused(site: FaultySite, tmp_path: Path) -> None:
    """The tag names another image than when the plan was made."""
    image = site.state()["Config"]["Image"]
    repository = image.rpartition(":")[0]
    others = site.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "localhost/trade2026/probe").split()
    site.docker("stop", site.container)
    file = saved(site, tmp_path)
    site.docker("tag", image, f"{repository}:kept")
    site.docker("tag", others[0], image)
    run = site.play(core_plan_to_apply=str(file))
    site.docker("tag", f"{repository}:kept", image)
    site.docker("image", "rm", f"{repository}:kept")
    assert_refused(run, "valkey: its image changed since the plan was made")
    site.converge()
