"""docs/install.md is true: its commands, run as they stand, lead to the answers that it promises."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from support.data import ROOT
from support.servers import free_port, need

PAGE = (ROOT / "docs" / "install.md").read_text()


def test_the_first_block_leads_to_the_right_answers_and_a_healthy_chain() -> None:
    for program in ("redis-server", "pdns_server", "dig"):
        need(program)
    block = re.search(
        r"<!-- tried by tests/servers/test_install_page.py -->\n```sh\n(.*?)```", PAGE, re.DOTALL
    )
    assert block
    port = str(free_port())
    script = block[1].replace("5300", port).replace("geosteer init try", f"geosteer init try --port {port}")
    script = re.sub(r"(?m)^sleep \d+$", "sleep 4", script)  # on a machine that is busy with other tests
    folder = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))
    path = f"{ROOT / 'bin'}:{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
    with (folder / "log").open("wb") as log:
        shell = subprocess.Popen(
            ["sh", "-e", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, "PATH": path, "NO_COLOR": "1"},
            start_new_session=True,
        )
    try:
        code = shell.wait(200)
        text = (folder / "log").read_text(errors="replace")
        assert code == 0, text
        assert "\n192.0.2.1\n198.51.100.5\n" in text
        assert re.search(r"(?m)^ok +answer +www\.cdn\.example\.net for 81\.128\.0\.0/24: 192\.0\.2\.1$", text)
        assert not re.search(r"(?m)^wrong ", text)
    finally:
        # not SIGTERM: a Redis that cannot save, since its folder is gone, would go on
        os.killpg(shell.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def test_it_names_every_option_that_it_uses_and_every_state_that_there_is() -> None:
    shown = subprocess.run(
        [ROOT / "bin" / "geosteer", "init", "--help"], capture_output=True, text=True, check=True
    )
    theirs = {"--config", "--config-dir", "--json", "--now"}  # of other commands
    ours = re.sub(r"(?ms)^## In containers$.*?(?=^## )", "", PAGE)  # there they are an engine's
    for option in set(re.findall(r"(?<![\w!-])--[a-z][a-z-]*", ours)) - theirs:
        assert option in shown.stdout, option
    assert all(f"`{state}`" in PAGE for state in ("ok", "warning", "wrong", "unknown"))
