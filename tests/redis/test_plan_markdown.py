"""`geosteer plan --format markdown`: a comment that fits, out of which nothing in a configuration breaks, and its picture."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from markdown_it import MarkdownIt

from geosteer_loader.cli.main import main
from geosteer_loader.cli.text.plan_markdown import LIMIT, MARK, code, markdown
from geosteer_loader.config.config import load
from geosteer_loader.publish.plan import Plan
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.store import connect
from support.data import ROOT
from support.publishing import write_config, write_csv
from support.servers import RedisServer

if TYPE_CHECKING:
    from pathlib import Path

WWW = "www.cdn.example.net"
DAY = ("10.0.0.0/8,GB", "11.0.0.0/8,NL", "2001:db8::/32,GB")
HOSTILE = (
    "@everyone #1 !2 [x](https://example.org) <img src=x onerror=alert(1)> </details> | ` `` ``` ```` ~~~~ **b** \\ &amp;",
    "```",
    "`",
    "<!-- -->",
    "/close\n/close",
    "| a | b |",
    "\x1b[31mred\u202e",
)
OURS = re.compile(r"<!-- geosteer plan -->|</?details>|<summary>.*</summary>|</?code>|<br>")


def put(folder: Path, server: RedisServer, **options: Any) -> Path:
    geo = [write_csv(folder / "geo.csv", options.pop("lines", DAY))]
    return write_config(folder, server.url, geo=geo, **options)


def published(config: Path) -> None:
    loaded = load(config, {})
    with connect(loaded.redis) as store:
        publish(loaded, store)


def test_a_change_is_told_by_service_and_country_with_its_picture(
    tmp_path: Path, own_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    published(put(tmp_path, own_redis))
    config = put(tmp_path, own_redis, lines=("10.0.0.0/8,GB", "11.0.0.0/8,GB", "2001:db8::/32,GB"))
    picture = tmp_path / "plan.svg"
    words = ["plan", "--format", "markdown", "--config", str(config)]
    assert (
        main([*words, "--picture", str(picture), "--picture-url", "https://ci.example.net/a b)/plan.svg"])
        == 0
    )
    said = capsys.readouterr().out
    assert said.startswith(f"{MARK}\n## geosteer plan: 1 service ")
    assert "![who serves whom, before and after](https://ci.example.net/a%20b%29/plan.svg)" in said
    (row,) = [line for line in said.splitlines() if line.startswith(f"| `{WWW}` | IPv4 |")]
    assert row == f"| `{WWW}` | IPv4 | 50.0 % | 50.0 % | `ams1` 50.0 % → 0.0 %<br>`lon1` 50.0 % → 100.0 % |"
    assert (
        "| `NL` Netherlands | 0.0 % | 100.0 % |" in said
        or "| `GB` United Kingdom | 100.0 % | 50.0 % |" in said
    )
    assert "`NL` → `GB` 16,777,216 addresses" in said
    assert "### Refused" not in said
    titles = [element.text or "" for element in ET.parse(picture).iter("{http://www.w3.org/2000/svg}title")]
    assert sum(title.startswith(f"{WWW}: who serves") for title in titles) == 2
    texts = " ".join(
        element.text or "" for element in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")
    )
    assert "generation 1" in texts
    assert "planned" in texts


def test_nothing_to_do_is_said_and_a_refusal_has_its_exit_code(
    tmp_path: Path, own_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    config = put(tmp_path, own_redis)
    words = ["plan", "--format", "markdown", "--config", str(config)]
    assert main(words) == 0
    assert "## geosteer plan: a first publish" in capsys.readouterr().out
    published(config)
    assert main(words) == 0
    assert "## geosteer plan: nothing would change" in capsys.readouterr().out
    config.write_text(config.read_text().replace("max_impact = 1.0", "max_impact = 0.1"))
    write_csv(tmp_path / "geo.csv", ("10.0.0.0/8,NL", "11.0.0.0/8,NL", "2001:db8::/32,GB"))
    assert main(words) == 3
    said = capsys.readouterr().out
    assert "### Refused\n\n- `empty_country`: `" in said
    assert f"- `max_impact`: `{WWW}: 50.0 % of the v4 clients" in said
    assert main(["plan", "--json", "--format", "markdown", "--config", str(config)]) == 2


def test_the_formats_of_before_stay_as_they_are(
    tmp_path: Path, own_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    config = put(tmp_path, own_redis)
    for one, other in ((["--json"], ["--format", "json"]), ([], ["--format", "text"])):
        assert main(["plan", *one, "--config", str(config)]) == 0
        first = capsys.readouterr().out
        assert main(["plan", *other, "--config", str(config)]) == 0
        assert capsys.readouterr().out == first


def made(**fields: Any) -> Plan:
    plain: dict[str, Any] = {
        "generation": 4, "held": None, "changed": ["config"], "objects": 1, "bytes": 900, "tables": {}, "config": [],
        "impact": {}, "moved": {}, "vanished": {}, "refused": [], "warnings": [],
    }  # fmt: skip
    return Plan(**{**plain, **fields})


def moved(nodes: dict[str, tuple[float, float]]) -> dict[str, Any]:
    moment = {"moved": 5.0, "share": 0.5, "share_known": 0.5, "nodes": nodes}
    return {"v4": {"clients": 10.0, "known": 10.0, "all_up": moment, "now": moment}}


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_configuration_is_read_as_markup(text: str) -> None:
    difference = {"place": text, "change": "changed", "before": text, "after": [text]}
    said = markdown(
        made(
            held=text,
            changed=[text],
            config=[difference],
            impact={text: moved({text: (0.2, 0.7)})},
            moved={text: 0.5},
            vanished={"zones": [text]},
            refused=[{"guard": text, "finding": text}],
            warnings=[text],
        ),
        [],
    )
    assert not re.search(r"[^\x20-\x7e\n→\u00a0-\uffff]", said)
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").parse(said)
    leaves = [leaf for token in rendered for leaf in (token.children or [token])]
    for leaf in leaves:
        if leaf.type.startswith("html"):
            assert OURS.sub("", leaf.content).strip() == "", leaf.content
        assert leaf.type not in {"image", "link_open"}
        if leaf.type == "text":
            assert not re.search(r"[@#!]\w", leaf.content), leaf.content
            assert "/close" not in leaf.content
    (table,) = [token for token in rendered if token.type == "table_open"]
    rows = [token for token in rendered if token.type == "tr_open"]
    cells = [token for token in rendered if token.type in {"td_open", "th_open"}]
    assert table
    assert len(cells) == 5 * len(rows)
    assert sum(token.type == "fence" for token in rendered) == 1


def test_a_comment_is_never_longer_than_a_forge_takes() -> None:
    services = {f"{'s' * 60}{number}.{'é' * 60}.example.net": number / 5000 for number in range(3000)}
    plan = made(
        impact={name: moved({f"n{at}": (0.1 * at, 0.2) for at in range(9)}) for name in services},
        moved=services,
        warnings=["w" * 10_000] * 500,
        config=[{"place": f"x{at}", "change": "added", "before": None, "after": at} for at in range(9000)],
    )
    said = markdown(plan, [])
    assert len(said.encode()) <= LIMIT < 65_536
    assert re.search(r"\n[\d,]+ more lines do not fit here: `geosteer plan --full` shows them\.$", said)
    assert said.count("<details>") == said.count("</details>")
    assert said.count("| IPv4 | 50.0 % |") > 50, "warnings leave room for what matters most"
    assert said.count("\n+ x") > 50


def test_code_holds_any_run_of_ticks() -> None:
    assert code("a") == "`a`"
    assert code("`a``b`") == "``` `a``b` ```"
    assert code(" \n") == "-" or code(" \n").startswith("`")


def script(page: str, forge: str) -> str:
    """The lines of the job on that page that plan."""
    (job,) = [
        job
        for job in map(yaml.safe_load, re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
        if (forge == "github") == ("jobs" in job)
    ]
    if forge == "github":
        steps = {step["name"]: step for step in job["jobs"]["plan"]["steps"] if "name" in step}
        return str(steps["Plan"]["run"])
    lines: list[str] = job["plan"]["script"]
    return "\n".join(lines[: lines.index('test "$code" = 0 || test "$code" = 3') + 1])


@pytest.mark.parametrize("forge", ["github", "gitlab"])
def test_the_job_of_the_page_plans_as_the_reader(forge: str, tmp_path: Path) -> None:
    with RedisServer(tcp=True) as server:
        plan_as_reader(script((ROOT / "docs" / "review.md").read_text(), forge), tmp_path, server)
    said = (tmp_path / "plan.md").read_text()
    assert "### Answers that change" in said
    assert (
        "@PICTURE@" if forge == "gitlab" else "cdn/configuration/blob/plans/7/plan.svg?raw=true&run=9"
    ) in said
    assert (tmp_path / "plan.svg").read_text().startswith("<svg ")


def plan_as_reader(lines: str, tmp_path: Path, own_redis: RedisServer) -> None:
    config = put(tmp_path, own_redis)
    published(config)
    with own_redis.client() as client:
        line = next(
            line
            for line in (ROOT / "conf" / "users.acl").read_text().splitlines()
            if line.startswith("user geosteer-reader ")
        )
        client.execute_command("ACL", "SETUSER", *line.split()[1:])
    url = own_redis.tcp_url.replace("redis://", "redis://geosteer-reader:CHANGE-reader@")
    text = config.read_text().replace(
        f'url = "{own_redis.url}"',
        f'url = "{own_redis.url}"\nusername = "geosteer-loader"\npassword_file = "elsewhere"',
    )
    config.write_text(text)
    write_csv(tmp_path / "geo.csv", ("10.0.0.0/8,GB", "11.0.0.0/8,GB", "2001:db8::/32,GB"))
    ran = subprocess.run(
        ["sh", "-ec", lines],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "GEOSTEER_REDIS_URL": url,
            "GITHUB_REPOSITORY": "cdn/configuration",
            "NUMBER": "7",
            "GITHUB_RUN_ID": "9",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
