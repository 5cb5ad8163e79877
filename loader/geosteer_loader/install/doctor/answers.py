"""Links that are answers: of a worker that the doctor starts itself, and of PowerDNS to a real question."""

from __future__ import annotations

import os
import select
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dns.edns
import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from geosteer.errors import GeosteerError
from geosteer_loader.install.doctor.link import good, unknown, warning, wrong
from geosteer_loader.install.doctor.units import PDNS, values
from geosteer_loader.query import worker_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene

CLIENT = "81.128.0.0/24"
"""A network in Great Britain, as every country table has it."""
BANNER = b"HELO\t3\n"
PATIENCE = 10.0
"""Seconds for a worker to say its banner, and for an answer; PowerDNS may be less patient."""
WAIT = 3.0
"""Seconds for an answer by DNS."""


def worker(scene: Scene) -> Iterator[Link]:
    """A worker starts as PowerDNS would start it, in time, and answers; and Redis is live for it."""
    command = (scene.pdns or {}).get("pipe-command", "").split()
    if not command or not scene.host.here or scene.worker is None:
        return
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **_as_pdns(scene),
        )
    except OSError as exc:
        yield wrong("worker", f"{command[0]}: {exc.strerror}", f"ls -l {command[0]}")
        return
    try:
        yield from _asked(scene, process, began, command)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):  # what it had not read yet when it ended
                    stream.close()
    yield from _tier(scene)


def _as_pdns(scene: Scene) -> dict[str, Any]:
    """Whom the worker runs as: as PowerDNS's workers do, so that it may what they may, and leaves no file of root's."""
    user = scene.host.user(scene.about("pdns_user", "pdns"))
    if not scene.place.system or os.geteuid() != 0 or user is None:
        return {}
    named = values(scene.host.unit_text(PDNS), "SupplementaryGroups")
    groups = [number for name in named if (number := scene.host.group(name)) is not None]
    return {"user": user[0], "group": user[1], "extra_groups": groups}


def _asked(
    scene: Scene, process: subprocess.Popen[bytes], began: float, command: list[str]
) -> Iterator[Link]:
    by_hand = f"printf 'HELO\\t3\\n' | {' '.join(command)}"
    banner = _exchange(process, BANNER, b"\n")
    took = time.monotonic() - began
    if not banner.startswith(b"OK"):
        yield wrong(
            "worker",
            f"it does not start: {_complaint(process)}",
            by_hand,
            "PowerDNS does not start without it",
        )
        return
    name = _service(scene)
    if name is None:
        yield good("worker", f"starts in {took * 1000:.0f} ms")
        return
    question = f"Q\t{name}\tIN\tANY\t-1\t127.0.0.1\t127.0.0.1\t{CLIENT}\n".encode()
    reply = _exchange(process, question, b"END\n", b"FAIL\n").decode(errors="replace")
    if "\nDATA" not in f"\n{reply}":
        last = (reply.strip().splitlines() or ["nothing"])[-1]
        yield wrong(
            "worker", f"it answers a question for {name} with {last[:100]!r}", by_hand, "so will PowerDNS"
        )
        return
    allowed = float((scene.pdns or {}).get("pipe-timeout", "2000")) / 1000
    if took > allowed / 2:
        yield warning(
            "worker",
            f"it took {took:.1f} s to start, of the {allowed:g} s that PowerDNS waits",
            scene.set_pdns("pipe-timeout", str(int(allowed * 2000))),
            "a slower start ends PowerDNS",
        )
    else:
        yield good("worker", f"starts in {took * 1000:.0f} ms and answers {name}")


def _tier(scene: Scene) -> Iterator[Link]:
    try:
        seen = worker_answers.status(scene.worker_file)
    except GeosteerError as exc:
        yield unknown("worker's Redis", str(exc), f"geosteer status --backend {scene.worker_file}")
        return
    if seen.status is None:
        yield wrong(
            "worker's Redis",
            f"workers answer {seen.tier}: {'; '.join(seen.troubles)}",
            f"geosteer status --backend {scene.worker_file}",
            "nobody is steered: every client gets a node by turns",
        )
    else:
        yield good("worker's Redis", f"{seen.redis}: {seen.tier}")


def by_dns(scene: Scene) -> Iterator[Link]:
    """A real question for a service, through PowerDNS, has the answer that is published for that client."""
    name = _service(scene)
    if name is None or scene.pdns is None or not scene.host.here:
        return
    listed = scene.pdns.get("local-address", "127.0.0.1").replace(",", " ").split()
    where = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listed[0], listed[0]) if listed else "127.0.0.1"
    port = scene.pdns.get("local-port", "53")
    question = dns.message.make_query(
        name, "A", use_edns=0, options=[dns.edns.ECSOption.from_text(f"ECS {CLIENT}/0")]
    )
    ask = f"dig @{where} -p {port} {name} +subnet={CLIENT}"
    try:
        answer = dns.query.udp(question, where, WAIT, port=int(port))
    except (dns.exception.DNSException, OSError, ValueError) as exc:
        told = "no answer in time" if isinstance(exc, dns.exception.Timeout) else str(exc)
        yield wrong(
            "answer", f"{where} port {port}: {told}", f"{scene.restart_pdns}; {ask}", "clients get nothing"
        )
        return
    code = dns.rcode.to_text(answer.rcode())
    found = sorted(
        record.to_text() for rrset in answer.answer for record in rrset if rrset.rdtype != dns.rdatatype.SOA
    )
    if code != "NOERROR" or not found:
        yield wrong("answer", f"{name}: {code}, {len(found)} records", ask, "clients get nothing")
        return
    try:
        right = worker_answers.explain_by(scene.worker_file, name, CLIENT)
    except GeosteerError as exc:
        yield unknown("answer", f"{name}: {', '.join(found)}; what is right is not known: {exc}", ask)
        return
    expected = sorted(
        record.content if record.type != "CNAME" else f"{record.content.rstrip('.')}."
        for record in right.answer
        if record.type in {"A", "CNAME"}
    )
    if right.generation is not None and right.policy != "weighted" and found != expected:
        yield wrong(
            "answer",
            f"{name} for {CLIENT}: {', '.join(found)}, where {', '.join(expected)} is right",
            f"{scene.restart_pdns}; {ask}",
            "its workers do not see what is published",
        )
    else:
        yield good("answer", f"{name} for {CLIENT}: {', '.join(found)}")


def _service(scene: Scene) -> str | None:
    """A service that is configured, and no pattern."""
    names = scene.config.document["services"] if scene.config is not None else ()
    return next((name for name in names if "*" not in name), None)


def _exchange(process: subprocess.Popen[bytes], line: bytes, *ends: bytes) -> bytes:
    """Say a line to a worker, and its reply until one of *ends*; what came, where it falls silent or ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    reply = b""
    try:
        process.stdin.write(line)
        process.stdin.flush()
        until = time.monotonic() + PATIENCE
        while not reply.endswith(ends) and len(reply) < 1 << 20:
            ready, _, _ = select.select([process.stdout], [], [], max(until - time.monotonic(), 0))
            chunk = os.read(process.stdout.fileno(), 65536) if ready else b""
            if not chunk:
                break
            reply += chunk
    except OSError:
        pass  # it ended; what it said on stderr is told
    return reply


def _complaint(process: subprocess.Popen[bytes]) -> str:
    process.kill()
    assert process.stderr is not None
    lines = process.stderr.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "no banner in time"
