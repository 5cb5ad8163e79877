"""Alert rules and dashboard, as far as promtool can tell: each rule fires in its fault and only then."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

from geosteer_loader.metrics.catalogue import METRICS
from support.data import ROOT
from support.servers import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = ROOT / "conf" / "prometheus-alerts.yml"
DASHBOARD = ROOT / "conf" / "grafana-dashboard.json"
GEOSTEER = str(ROOT / "bin" / "geosteer")

DAY = 86400
CASES: dict[str, tuple[str, list[tuple[str, str]], str]] = {
    "GeosteerRedisUnreadable": ("1m", [("redis_up", "0x30 1x30")], ""),
    "GeosteerPublishFailing": ("1m", [("publish_failing", "1x30 0x30")], ""),
    "GeosteerDataOld": (
        "1m",
        [('table_data_timestamp_seconds{table="geo"}', "0x30 9000x30"), ('table_max_age_seconds{table="geo"}', "300x60")],
        "",
    ),
    "GeosteerTableIncomplete": ("1m", [('table_complete{table="geo"}', "0x30 1x30")], ""),
    "GeosteerPublishHeld": ("1h", [("held", "1x30 0x30")], ""),
    "GeosteerNodeDown": ("1m", [('node_state{node="a",state="down"}', "1x30 0x30")], ""),
    "GeosteerMapWithoutNode": ("1m", [('map_without_node{map="m"}', "1x30 _x30")], ""),
    "GeosteerChecksStopped": ("1m", [('node_checks_expired{node="a"}', "1x30 0x30")], ""),
    "GeosteerProberSilent": ("1m", [('prober_silent{prober="p"}', "1x30 0x30")], ""),
    "GeosteerCertificateEnds": (
        "1m", [('certificate_end_timestamp_seconds{node="a",check="c"}', f"9000x30 {99 * DAY}x30")], "",
    ),
    "GeosteerOverrideWithoutEnd": (
        "1h",
        [
            ('override{node="a",state="down"}', "1x60"),
            ('override_end_timestamp_seconds{node="a"}', "_x30 9x30"),
            ('override{node="b",state="down"}', "1x60"),
            ('override_end_timestamp_seconds{node="b"}', "9x60"),
        ],
        "",
    ),
    "GeosteerWorkersNotLive": (
        "1m", [('workers{front_end="pdns",tier="stale"}', "1x30 0x30"), ('workers{front_end="pdns",tier="live"}', "1x60")], "",
    ),
    "GeosteerWorkersSilent": ("1m", [('workers_silent{front_end="pdns"}', "1x30 0x30")], ""),
    "GeosteerWorkersBehind": (
        "1m",
        [('workers_generation_min{front_end="pdns"}', "1x30 2x30"), ('workers_generation_max{front_end="pdns"}', "2x60")],
        "",
    ),
    "GeosteerAnswersOfLastResort": (
        "1m",
        [('answers_total{service="www",tier="fallback"}', "0+60x30 1800x30"), ('answers_total{tier="live"}', "0+9x60")],
        "",
    ),
    "GeosteerWaitsInVain": ("1m", [('wait_timeouts_total{front_end="pdns"}', "0+60x30 1800x30")], ""),
    "GeosteerDecisionLogLoses": ("1m", [('decision_log_lines_lost_total{front_end="pdns"}', "0+60x30 1800x30")], ""),
    "GeosteerCountsDamaged": ("1m", [("worker_files_damaged", "1x30 0x30")], ""),
    "GeosteerCountsOverflow": ("5m", [('questions_overflow_total{front_end="pdns"}', "0+60x30 1800x30")], ""),
}  # fmt: skip
"""Alert -> interval, series that have the fault for 30 intervals and not afterwards."""


def seconds(text: str) -> int:
    return int(text[:-1]) * {"m": 60, "h": 3600, "d": DAY}[text[-1]]


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([need("promtool"), *words], capture_output=True, text=True, timeout=120)


def alerts() -> set[str]:
    return set(re.findall(r"^      - alert: (\w+)$", RULES.read_text(), re.MULTILINE))


def test_each_rule_fires_in_its_fault_and_only_then(tmp_path: Path) -> None:
    assert set(CASES) == alerts()
    tests: dict[str, list[dict[str, Any]]] = {"1m": [], "1h": []}
    for alert, (interval, series, _) in CASES.items():
        step = seconds(interval)
        firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
        others = f'count(ALERTS{{alertname!="{alert}",alertstate="firing"}})'
        tests["1h" if interval == "1h" else "1m"].append(
            {
                "interval": interval,
                "input_series": [{"series": f"geosteer_{name}", "values": values} for name, values in series],
                "promql_expr_test": [
                    {
                        "expr": firing,
                        "eval_time": f"{29 * step}s",
                        "exp_samples": [{"labels": "{}", "value": 1}],
                    },
                    {"expr": firing, "eval_time": f"{60 * step}s", "exp_samples": []},
                    {"expr": others, "eval_time": f"{29 * step}s", "exp_samples": []},
                ],
            }
        )
    for every, some in tests.items():
        made = tmp_path / f"{every}.yml"  # JSON is YAML
        made.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": every, "tests": some}))
        done = promtool("test", "rules", str(made))
        assert done.returncode == 0, done.stdout + done.stderr


def expressions(panels: Any) -> Iterator[str]:
    for panel in panels:
        yield from (target["expr"] for target in panel.get("targets", ()))
        yield from expressions(panel.get("panels", ()))


def test_every_expression_of_the_dashboard_is_one_and_names_metrics_that_exist(tmp_path: Path) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    found = [text.replace("$__rate_interval", "5m") for text in expressions(dashboard["panels"])]
    assert len(found) > 15
    rules = [{"record": f"x:{number}", "expr": text} for number, text in enumerate(found)]
    made = tmp_path / "rules.yml"
    made.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", str(made))
    assert done.returncode == 0, done.stdout + done.stderr
    suffixes = {
        f"{name}{end}"
        for name, metric in METRICS.items()
        if metric.kind == "histogram"
        for end in ("_bucket", "_sum", "_count")
    }
    for text in [*found, RULES.read_text()]:
        assert set(re.findall(r"\bgeosteer_\w+", text)) <= set(METRICS) | suffixes, text
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    paper = (ROOT / "docs" / "metrics.md").read_text()
    assert set(re.findall(r"^\| `(Geosteer\w+)` \|", paper, re.MULTILINE)) == alerts()
