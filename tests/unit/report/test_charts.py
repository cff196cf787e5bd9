# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures: text in them stays as it is, and their colours are those of the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
import sample_documents
from ansible.module_utils.report import charts
from ansible.module_utils.report.charts import Picture
from ansible.module_utils.report.document import complete


def texts(svg: str) -> set[str]:
    """All texts of a picture; it must be well-formed."""
    return {"".join(element.itertext()) for element in ElementTree.fromstring(svg).iter() if element.text}


def pictures() -> list[Picture]:
    document = complete(sample_documents.sample())
    row = document["performance"][0]
    found = [
        charts.network_map(document),
        charts.timeline(document),
        charts.latencies(document),
        charts.histogram(row),
        charts.trend(row, document["run"]["started"]),
    ]
    return [picture for picture in found if picture]


def test_addresses_in_the_network_map_are_not_changed() -> None:
    document = complete(sample_documents.sample())
    document["services"][0]["title"] = 'a role="x" 3.14159'
    picture = charts.network_map(document)
    assert picture
    found = texts(picture.wide)
    assert {"172.23.0.0/16", "172.24.0.3", 'a role="x" 3.14159', "client 4222 · monitor 8222"} <= found
    assert {"frontend", "lowlatency", "backend", "4222, 8222"} <= texts(picture.narrow)


def test_colours_are_those_of_the_page() -> None:
    drawn = pictures()
    assert len(drawn) == 5
    for picture in drawn:
        for svg in filter(None, (picture.wide, picture.narrow)):
            colours = set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg)) - {"none", "transparent"}
            assert colours
            assert {colour for colour in colours if not colour.startswith("var(--")} == set(), picture.label


def test_pictures_say_what_they_show_and_have_no_fixed_size() -> None:
    for picture in pictures():
        assert len(picture.label) > 20
        head = picture.wide.partition(">")[0]
        assert 'aria-hidden="true"' in head
        assert "viewBox" in head
        assert " width=" not in head


def test_latencies_from_microseconds_to_seconds_have_an_axis() -> None:
    document = complete(sample_documents.sample())
    document["performance"][0].update(p50_ms=0, p95_ms=0, p99_ms=0.001, max_ms=4000, budget={})
    picture = charts.latencies(document)
    assert picture
    assert {"0.1 µs", "1 ms", "10 s"} <= texts(picture.wide)


@pytest.mark.parametrize("part", ["networks", "services", "performance"])
def test_without_data_there_is_no_picture(part: str) -> None:
    document = complete({**sample_documents.sample(), part: []})
    drawn = {
        "networks": charts.network_map(document),
        "services": charts.timeline(document),
        "performance": charts.latencies(document),
    }
    assert drawn[part] is None


def test_a_service_that_was_left_alone_is_not_in_the_timeline() -> None:
    document = complete(sample_documents.sample())
    for service in document["services"]:
        service["timeline"] = {"verified": "2026-11-26T06:30:20Z"}
    assert charts.timeline(document) is None


def test_one_run_has_no_trend_and_no_buckets_no_distribution() -> None:
    row = {**sample_documents.sample()["performance"][0], "previous": [], "histogram": []}
    assert charts.trend(row, "2026-11-26T06:30:00Z") is None
    assert charts.histogram(row) is None


def test_operations_and_services_with_the_same_name_are_distinguished() -> None:
    document = complete(sample_documents.sample())
    row = document["performance"][0]
    document["performance"] = [row, {**row, "operation": "consume"}, document["performance"][1]]
    document["services"][3]["title"] = document["services"][1]["title"]
    picture = charts.latencies(document)
    assert picture
    assert {"NATS: consume", "Valkey (valkey)"} <= texts(picture.wide)
    timeline = charts.timeline(document)
    assert timeline
    assert {"Valkey (valkey)", "QuestDB"} <= texts(timeline.wide)
    assert "Valkey" not in texts(timeline.wide)
