# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of the report: Vega-Lite specifications, drawn as inline SVG by vl-convert without a browser.

Colours are CSS variables of the page, so that one picture suits both the light and the dark theme. A picture that has
to be read on a phone is drawn twice, wide and narrow, and the page shows one of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ansible.module_utils.report import drawing

WIDE, NARROW = 1100, 330
# A site with more services gets only the wide pictures, with bars without rounded corners, to keep the file small.
MANY = 24
# Width and height of the small pictures of one service.
SMALL = (236, 64)
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
INK, MUTED, LINE, CARD = "var(--ink)", "var(--muted)", "var(--line)", "var(--card)"
GOOD, BAD, WARN, ACCENT = "var(--good)", "var(--bad)", "var(--warn)", "var(--accent)"
SERIES = ("var(--series-1)", "var(--series-2)", "var(--series-3)", "var(--series-4)", "var(--series-5)")
# Letters of the ports of a service that fit on a line.
PORTS_WIDTH = 40
# Formats a number of milliseconds with the unit that suits it.
MS_LABEL = (
    "datum.value == 0 ? '0' : datum.value < 1 ? format(datum.value * 1000, '.2~r') + ' µs' : "
    "datum.value < 1000 ? format(datum.value, '.2~r') + ' ms' : format(datum.value / 1000, '.2~r') + ' s'"
)
# A logarithmic axis has no zero.
LEAST_MS = 1e-4

Row = Mapping[str, Any]
Layer = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """One picture: its text alternative, and its SVG, wide and narrow."""

    label: str
    wide: str
    narrow: str = ""


def draw(spec: Mapping[str, Any]) -> str:
    """The SVG of a Vega-Lite specification."""
    config = {
        "background": None,
        "aria": False,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "domain": False,
            "ticks": False,
            "gridColor": LINE,
            "labelColor": MUTED,
            "titleColor": MUTED,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "labelPadding": 6,
        },
    }
    svg = drawing.draw({"padding": 4, **spec, "config": config})
    # Fixed sizes would not shrink with the page. The text beside the picture is its alternative.
    svg = re.sub(r'^(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"<[^>]*>", lambda tag: _shorter(tag[0]), svg)
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def _shorter(tag: str) -> str:
    """A tag without the attributes that the page sets, and with numbers in tenths of a pixel."""
    tag = re.sub(
        r' (?:role|aria-[a-z]+|class|pointer-events|font-family)="[^"]*"| opacity="1"| stroke-width="0"', "", tag
    )
    return re.sub(r"\d+\.\d{2,}", lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), tag)


def network_map(document: Row) -> Picture | None:
    """Which service is on which network, with its ports on the host."""
    services, networks = document["services"], document["networks"]
    if not networks or not services:
        return None
    label = "; ".join(
        f"{service['title']} is on {_names(end['name'] for end in service.get('networks', []))}" for service in services
    )
    narrow = _map_narrow(services, networks) if len(services) <= MANY else ""
    return Picture(f"Services and their networks. {label}.", _map_wide(services, networks), narrow)


def _map_wide(services: Sequence[Row], networks: Sequence[Row]) -> str:
    row_height, top, box_left, box_width = 42, 58, 356, 178
    height = top + row_height * len(services)
    first, last = box_left + box_width + 76, WIDE - 90
    columns = _columns(networks, first, last)
    layers = [*_buses(networks, columns, height, top, room=(last - first) / max(1, len(networks) - 1) - 12)]
    layers.append(_text([{"x": box_left - 52, "y": 20, "t": "ports on the host"}], align="right", size=12, color=MUTED))
    texts, arrows, heads = [], [], []
    for place, service in enumerate(services):
        middle = top + row_height * place + row_height / 2
        ports = [f"{port.get('name', '')} {port['host']}".strip() for port in service.get("ports", [])]
        if ports:
            # Many ports take two lines; the font of the page may be wider than the one that is measured here.
            half = len(ports) if len(" · ".join(ports)) <= PORTS_WIDTH else math.ceil(len(ports) / 2)
            for line, part in enumerate([ports[:half], ports[half:]] if half < len(ports) else [ports]):
                y = middle + (line * 16 - 8 if half < len(ports) else 0)
                texts.append({"x": box_left - 52, "y": y, "t": " · ".join(part)})
            arrows.append({"x": box_left - 44, "x2": box_left - 8, "y": middle})
            heads.append({"x": box_left - 9, "y": middle})
    layers += _members(services, columns, box_left + box_width, row_height, top, addresses=True)
    layers += [
        _text(texts, align="right", size=12, color=MUTED, limit=box_left - 56),
        _rules(arrows, MUTED, 1.2),
        _points(heads, MUTED, shape="triangle-right", size=46),
        *_boxes(services, box_left, box_width, row_height, top, ports=False),
    ]
    return _canvas(layers, WIDE, height)


def _map_narrow(services: Sequence[Row], networks: Sequence[Row]) -> str:
    row_height, top, box_width = 48, 46, 138
    height = top + row_height * len(services)
    columns = _columns(networks, box_width + 36, NARROW - 28)
    layers = [
        *_buses(networks, columns, height, top, room=58, subnet=False),
        *_members(services, columns, box_width, row_height, top, addresses=False),
        *_boxes(services, 0, box_width, row_height, top, ports=True),
    ]
    return _canvas(layers, NARROW, height)


def _columns(networks: Sequence[Row], first: float, last: float) -> dict[str, float]:
    """Network → where its line is."""
    step = (last - first) / max(1, len(networks) - 1)
    return {network["name"]: first + step * place for place, network in enumerate(networks)}


def _buses(
    networks: Sequence[Row], columns: Mapping[str, float], height: float, top: float, room: float, subnet: bool = True
) -> list[Layer]:
    """The networks as vertical lines with their names."""
    shared = _common_prefix([network["name"] for network in networks])
    layers: list[Layer] = []
    for place, network in enumerate(networks):
        color, x = _color(place), columns[network["name"]]
        layers.append(
            _layer(
                {"type": "rule", "color": color, "strokeWidth": 4, "strokeCap": "round", "opacity": 0.85},
                [{"x": x, "y": top - 8, "y2": height - 6}],
                y2=True,
            )
        )
        # The font of the page may be wider than the one that is measured here.
        fits = subnet and max(len(one["name"]) for one in networks) * 9 < room
        name = network["name"] if fits else network["name"].removeprefix(shared)
        layers.append(_text([{"x": x, "y": 20, "t": name}], size=12.5 if subnet else 11, weight="bold", limit=room))
        if subnet:
            notes = [network.get("subnet", ""), "internal" if network.get("internal") else ""]
            note = ", ".join(part for part in notes if part)
            layers.append(_text([{"x": x, "y": 37, "t": note}], size=11, color=MUTED, limit=room))
    return layers


def _members(
    services: Sequence[Row], columns: Mapping[str, float], start: float, row_height: float, top: float, addresses: bool
) -> list[Layer]:
    """Lines from the services to their networks, with a dot where they are connected."""
    layers: list[Layer] = []
    order = list(columns)
    for name in reversed(order):
        color = _color(order.index(name))
        lines, dots, texts = [], [], []
        for place, service in enumerate(services):
            middle = top + row_height * place + row_height / 2
            for end in service.get("networks", []):
                if end["name"] == name:
                    lines.append({"x": start, "x2": columns[name], "y": middle})
                    dots.append({"x": columns[name], "y": middle})
                    texts.append({"x": columns[name] + 11, "y": middle - 11, "t": end.get("ip", "")})
        if lines:
            layers += [_rules(lines, color, 2), _points(dots, color, size=130)]
            layers += [_text(texts, align="left", size=10.5, color=MUTED)] if addresses else []
    return layers


def _boxes(
    services: Sequence[Row], left: float, width: float, row_height: float, top: float, ports: bool
) -> list[Layer]:
    rows, names, notes = [], [], []
    states: list[dict[str, Any]] = []
    for place, service in enumerate(services):
        y = top + row_height * place + 4
        middle = y + (row_height - 8) / 2
        rows.append({"x": left, "x2": left + width, "y": y, "y2": y + row_height - 8})
        names.append({"x": left + 26, "y": middle - (8 if ports else 0), "t": service["title"]})
        listed = ", ".join(str(port["host"]) for port in service.get("ports", [])) or "no port on the host"
        notes.append({"x": left + 26, "y": middle + 9, "t": listed})
        states.append({"x": left + 14, "y": middle - (8 if ports else 0), "c": _state_color(service)})
    layers = [
        _layer(
            {"type": "rect", "fill": CARD, "stroke": "var(--line-strong)", "strokeWidth": 1.2, "cornerRadius": 7},
            rows,
            x2=True,
            y2=True,
        ),
        _text(names, align="left", size=13, weight="bold", limit=width - 34),
        *[_points([state], state["c"], size=70) for state in states],
    ]
    return [*layers, _text(notes, align="left", size=9.5, color=MUTED, limit=width - 26)] if ports else layers


def timeline(document: Row) -> Picture | None:
    """When each service was planned, started, healthy and verified, in seconds of the run."""
    begun = moment(document["run"]["started"])
    phases = (
        ("planned", "started", "prepared: image, files"),
        ("started", "healthy", "starting"),
        ("healthy", "verified", "probed"),
    )
    titles = titles_of(document)
    rows: list[dict[str, Any]] = []
    for service in document["services"]:
        times = service.get("timeline") or {}
        for first, last, phase in phases:
            if times.get(first) and times.get(last):
                start, end = (moment(times[name]) - begun for name in (first, last))
                # For a service that this run did not start, only the probes are part of the run.
                if start >= 0 and end >= start:
                    rows.append({"service": titles[service["name"]], "phase": phase, "start": start, "end": end})
    if not rows:
        return None
    domain = [phase for _first, _last, phase in phases]
    order = list(titles.values())
    # The page has the legend: its font may be wider than the one that is measured here.
    color = {
        "field": "phase",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": domain, "range": [SERIES[3], SERIES[0], GOOD]},
    }

    def spec(width: int) -> dict[str, Any]:
        narrow = width == NARROW
        return {
            "width": width - (122 if narrow else 160),
            "height": {"step": 30},
            "data": {"values": rows},
            "mark": {"type": "bar", "height": 14, "cornerRadius": 3 if len(order) <= MANY else 0},
            "encoding": {
                "y": _rows_of(order, 100 if narrow else 132, narrow),
                "x": {
                    "field": "start",
                    "type": "quantitative",
                    "title": "seconds since the start of the run",
                    "axis": {"tickCount": 4 if narrow else 10},
                },
                "x2": {"field": "end"},
                "color": color,
            },
        }

    longest = max(rows, key=lambda row: row["end"])
    label = f"Timeline of the run. {longest['service']} was ready last, after {longest['end']:.0f} seconds."
    return Picture(label, draw(spec(WIDE)), draw(spec(NARROW)) if len(order) <= MANY else "")


def latencies(document: Row) -> Picture | None:
    """Median to 99th percentile of every service, and its budget, on one logarithmic axis."""
    titles = titles_of(document)
    several = [row["service"] for row in document["performance"]]
    rows: list[dict[str, Any]] = [
        {
            "service": titles.get(row["service"], row["service"])
            + (f": {row['operation']}" if several.count(row["service"]) > 1 else ""),
            **{key: max(LEAST_MS, row[f"{key}_ms"]) for key in ("p50", "p95", "p99", "max")},
            "budget": (row.get("budget") or {}).get("p99_ms"),
        }
        for row in document["performance"]
    ]
    if not rows:
        return None
    order = [row["service"] for row in rows]
    decades = _decades([row[key] for row in rows for key in ("p50", "max", "budget") if row[key]])

    # Operations have longer names than services.
    extra = 100 if len(set(several)) < len(several) else 0

    def spec(width: int) -> dict[str, Any]:
        narrow = width == NARROW
        extent = 100 + extra // 5 if narrow else 132 + extra
        y = _rows_of(order, extent, narrow)
        scale = {"type": "log", "nice": False, "domain": [decades[0], decades[-1]]}

        def x(field: str) -> dict[str, Any]:
            return {
                "field": field,
                "type": "quantitative",
                "scale": scale,
                "title": None,
                "axis": {"labelExpr": MS_LABEL, "values": decades[:: 2 if narrow and len(decades) > 4 else 1]},
            }

        def marks(field: str, mark: Layer) -> Layer:
            return {"mark": mark, "encoding": {"y": y, "x": x(field)}}

        return {
            "width": width - extent - (22 if narrow else 28),
            "height": {"step": 30},
            "data": {"values": rows},
            "layer": [
                {
                    "mark": {"type": "rule", "color": MUTED, "strokeWidth": 1, "strokeDash": [2, 3]},
                    "encoding": {"y": y, "x": x("p99"), "x2": {"field": "max"}},
                },
                {
                    "mark": {
                        "type": "bar",
                        "height": 12,
                        "cornerRadius": 6 if len(rows) <= MANY else 0,
                        "color": SERIES[0],
                        "opacity": 0.28,
                    },
                    "encoding": {"y": y, "x": x("p50"), "x2": {"field": "p99"}},
                },
                marks("p50", {"type": "point", "filled": True, "size": 95, "color": SERIES[0], "opacity": 1}),
                marks("p95", {"type": "tick", "color": SERIES[0], "thickness": 2.5, "height": 12}),
                marks(
                    "p99",
                    {"type": "point", "filled": True, "size": 95, "color": SERIES[1], "opacity": 1, "shape": "diamond"},
                ),
                marks("max", {"type": "point", "size": 34, "color": MUTED, "opacity": 1, "filled": False}),
                {
                    "transform": [{"filter": "datum.budget != null"}],
                    **marks("budget", {"type": "tick", "color": BAD, "thickness": 2, "height": 20}),
                },
            ],
        }

    slowest = max(rows, key=lambda row: row["p99"])
    label = (
        f"Latencies of {len(rows)} operations. {slowest['service']} is slowest, with a p99 of {slowest['p99']:g} ms."
    )
    return Picture(label, draw(spec(WIDE)), draw(spec(NARROW)) if len(rows) <= MANY else "")


def histogram(row: Row) -> Picture | None:
    """How the latencies of one operation are distributed."""
    buckets = row.get("histogram") or []
    if not buckets:
        return None
    ratio = buckets[1]["up_to_ms"] / buckets[0]["up_to_ms"] if len(buckets) > 1 and buckets[0]["up_to_ms"] else 2
    values, low = [], buckets[0]["up_to_ms"] / ratio
    for bucket in buckets:
        high = max(LEAST_MS, bucket["up_to_ms"])
        values.append({"low": max(LEAST_MS, low), "high": high, "count": bucket["count"]})
        low = high
    marks = [{"v": max(LEAST_MS, row[f"{name}_ms"]), "c": name} for name in ("p50", "p99")]
    x = {
        "type": "quantitative",
        "scale": {"type": "log", "nice": False},
        "title": None,
        "axis": {
            "labelExpr": MS_LABEL,
            "values": [mark["v"] for mark in marks],
            "grid": False,
            "labelOverlap": True,
            "labelFontSize": 10,
            "domain": True,
            "domainColor": LINE,
        },
    }
    spec = {
        "width": SMALL[0],
        "height": SMALL[1],
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "rect", "color": SERIES[0], "opacity": 0.45, "stroke": CARD, "strokeWidth": 0.8},
                "encoding": {
                    "x": {"field": "low", **x},
                    "x2": {"field": "high"},
                    "y": {"field": "count", "type": "quantitative", "axis": None},
                    "y2": {"datum": 0},
                },
            },
            {
                "data": {"values": marks},
                "mark": {"type": "rule", "strokeWidth": 1.6},
                "encoding": {
                    "x": {"field": "v", **x},
                    "color": {
                        "field": "c",
                        "type": "nominal",
                        "legend": None,
                        "scale": {"domain": ["p50", "p99"], "range": [SERIES[0], SERIES[1]]},
                    },
                },
            },
        ],
    }
    return Picture(f"Distribution of {row['samples']} latencies around {row['p50_ms']:g} ms", draw(spec))


def trend(row: Row, started: str) -> Picture | None:
    """The median and the 99th percentile over the last runs."""
    runs = [*(row.get("previous") or []), {**row, "started": started}]
    values = [
        {"run": number, "name": name, "ms": run[f"{name}_ms"]}
        for number, run in enumerate(runs)
        for name in ("p50", "p99")
        if run.get(f"{name}_ms") is not None
    ]
    if len(runs) < 2 or not values:
        return None
    color = {
        "field": "name",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": ["p50", "p99"], "range": [SERIES[0], SERIES[1]]},
    }
    encoding = {
        "x": {"field": "run", "type": "quantitative", "axis": None, "scale": {"nice": False, "zero": False}},
        "y": {
            "field": "ms",
            "type": "quantitative",
            "title": None,
            "scale": {"zero": True},
            "axis": {"labelExpr": MS_LABEL, "tickCount": 2, "labelFontSize": 10},
        },
        "color": color,
    }
    spec = {
        "width": SMALL[0] - 30,
        "height": SMALL[1],
        "data": {"values": values},
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 2, "interpolate": "monotone"}, "encoding": encoding},
            {
                "transform": [{"filter": f"datum.run == {len(runs) - 1}"}],
                "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
                "encoding": encoding,
            },
        ],
    }
    return Picture(f"Median and 99th percentile over {len(runs)} runs", draw(spec))


def _rows_of(order: Sequence[str], extent: float, narrow: bool) -> Layer:
    """The axis of a picture with a row for each service, whose names get `extent` pixels."""
    return {
        "field": "service",
        "type": "nominal",
        "sort": order,
        "axis": {
            "title": None,
            "labelColor": INK,
            "labelFontSize": 11 if narrow else 12,
            "minExtent": extent,
            # The font of the page may be wider than the one that text is measured with here.
            "labelLimit": extent * 0.88,
        },
    }


def _decades(values: Sequence[float]) -> list[float]:
    """The powers of ten around the values."""
    first = math.floor(math.log10(max(LEAST_MS, min(values))))
    last = math.ceil(math.log10(max(LEAST_MS, *values)))
    return [10.0**power for power in range(first, max(first + 1, last) + 1)]


def moment(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def titles_of(document: Row) -> dict[str, str]:
    """Name → display name of the services; names are added to display names that several services share."""
    titles = [service["title"] for service in document["services"]]
    return {
        service["name"]: service["title"]
        if titles.count(service["title"]) == 1
        else f"{service['title']} ({service['name']})"
        for service in document["services"]
    }


def _state_color(service: Row) -> str:
    if service.get("state") is None:
        return MUTED
    running = service["state"] == "running" and service.get("health") in ("healthy", "", None)
    return GOOD if running else BAD


def _color(place: int) -> str:
    return SERIES[place % len(SERIES)]


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "no network"


def _common_prefix(names: Sequence[str]) -> str:
    """What all names begin with, up to the last hyphen; empty for one name."""
    if len(names) < 2:
        return ""
    least, most = min(names), max(names)
    length = next((place for place, char in enumerate(least) if char != most[place : place + 1]), len(least))
    return least[: least.rfind("-", 0, length) + 1]


def _canvas(layers: Sequence[Layer], width: float, height: float) -> str:
    """Layers whose data are pixels."""
    return draw(
        {
            "width": width,
            "height": height,
            "layer": [layer for layer in layers if layer["data"]["values"]],
            "encoding": {"x": _pixels("x", [0, width]), "y": _pixels("y", [height, 0])},
        }
    )


def _pixels(field: str, domain: list[float]) -> dict[str, Any]:
    return {
        "field": field,
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": domain, "nice": False, "zero": False},
    }


def _layer(mark: Layer, values: Sequence[Row], x2: bool = False, y2: bool = False) -> Layer:
    encoding = ({"x2": {"field": "x2"}} if x2 else {}) | ({"y2": {"field": "y2"}} if y2 else {})
    return {"data": {"values": list(values)}, "mark": mark, "encoding": encoding}


def _rules(values: Sequence[Row], color: str, width: float) -> Layer:
    return _layer({"type": "rule", "color": color, "strokeWidth": width}, values, x2=True)


def _points(values: Sequence[Row], color: str, size: float, shape: str = "circle") -> Layer:
    return _layer({"type": "point", "filled": True, "opacity": 1, "color": color, "size": size, "shape": shape}, values)


def _text(
    values: Sequence[Row],
    align: str = "center",
    size: float = 12,
    color: str = INK,
    weight: str = "normal",
    limit: float = 0,
) -> Layer:
    mark: Layer = {
        "type": "text",
        "align": align,
        "baseline": "middle",
        "fontSize": size,
        "color": color,
        "fontWeight": weight,
    } | ({"limit": limit} if limit else {})
    layer = _layer(mark, values)
    layer["encoding"]["text"] = {"field": "t", "type": "nominal"}
    return layer
