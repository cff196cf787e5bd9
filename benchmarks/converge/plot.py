# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw what bench.py and scale.py measured as SVG: python benchmarks/converge/plot.py [--runs FILE] [--scale FILE]."""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import vl_convert
from timing import ROOT

OURS, OTHERS, INK = "#2f6fb3", "#9aa3ad", "#4a535c"
CONFIG = {
    "background": "white",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {"domain": False, "ticks": False, "labelColor": INK, "titleColor": INK, "gridColor": "#e3e6e9"},
    "title": {"color": INK, "anchor": "start", "fontSize": 13},
}


def draw(spec: dict[str, Any], file: Path) -> None:
    """Write the picture of a Vega-Lite specification."""
    file.write_text(vl_convert.vegalite_to_svg({**spec, "config": CONFIG, "padding": 12}, vl_version="v6_1") + "\n")


def caption(measured: dict[str, Any]) -> str:
    """What the figures belong to."""
    return (
        f"medians and ranges of {measured['rounds']} rounds, {measured['date']}, {measured['processors']} processors, "
        f"Docker {measured['engine']}, Compose {measured['compose']}, ansible-core {measured['ansible_core']}"
    )


def runs(measured: dict[str, Any]) -> dict[str, Any]:
    """Bars of the wall times, each with its range."""
    rows = []
    for name, samples in measured["samples"].items():
        walls = [sample["wall_s"] for sample in samples]
        rows.append(
            {
                "run": name,
                "median": statistics.median(walls),
                "least": min(walls),
                "most": max(walls),
                "ours": name.startswith("core.yml"),
                "label": f"{statistics.median(walls):.1f} s",
            }
        )
    axis = {"field": "run", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 360}}
    color = {"condition": {"test": "datum.ours", "value": OURS}, "value": OTHERS}
    return {
        "title": {"text": "Wall time of a run", "subtitle": caption(measured), "subtitleColor": INK},
        "width": 520,
        "height": {"step": 26},
        "data": {"values": rows},
        "encoding": {"y": axis},
        "layer": [
            {
                "mark": {"type": "bar", "cornerRadius": 2, "height": 15},
                "encoding": {"x": {"field": "median", "type": "quantitative", "title": "seconds"}, "color": color},
            },
            {
                "mark": {"type": "rule", "color": INK},
                "encoding": {"x": {"field": "least", "type": "quantitative"}, "x2": {"field": "most"}},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 6, "color": INK},
                "encoding": {"x": {"field": "most", "type": "quantitative"}, "text": {"field": "label"}},
            },
        ],
    }


def scale(measured: dict[str, Any]) -> dict[str, Any]:
    """Time per service over the number of services."""
    rows = []
    for count, samples in measured["samples"].items():
        for field, name in (("wall_s", "wall time"), ("cpu_s", "processor time")):
            each = [sample[field] / int(count) for sample in samples]
            rows.append(
                {
                    "services": int(count),
                    "time": name,
                    "median": statistics.median(each),
                    "least": min(each),
                    "most": max(each),
                }
            )
    color = {"field": "time", "type": "nominal", "title": None, "scale": {"range": [OTHERS, OURS]}}
    sizes = {
        "field": "services",
        "type": "quantitative",
        "scale": {"type": "log", "base": 2},
        "axis": {"values": sorted({row["services"] for row in rows})},
        "title": "services",
    }
    return {
        "title": {"text": "Time per service, nothing to do", "subtitle": caption(measured), "subtitleColor": INK},
        "width": 520,
        "height": 220,
        "data": {"values": rows},
        "encoding": {"x": sizes, "color": color},
        "layer": [
            {
                "mark": {"type": "line", "point": True},
                "encoding": {"y": {"field": "median", "type": "quantitative", "title": "seconds per service"}},
            },
            {
                "mark": {"type": "rule"},
                "encoding": {"y": {"field": "least", "type": "quantitative"}, "y2": {"field": "most"}},
            },
        ],
    }


def main() -> None:
    """Draw each file of samples that exists."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=ROOT / ".cache/bench-converge.json")
    parser.add_argument("--scale", type=Path, default=ROOT / ".cache/bench-scale.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/performance")
    arguments = parser.parse_args()
    arguments.out.mkdir(exist_ok=True)
    for file, spec, name in ((arguments.runs, runs, "runs"), (arguments.scale, scale, "scale")):
        if file.exists():
            measured = json.loads(file.read_text(encoding="utf-8"))
            draw(spec(measured), arguments.out / f"{name}.svg")
            (arguments.out / f"{name}.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
