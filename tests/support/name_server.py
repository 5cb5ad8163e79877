"""A name server of a test's own, for what looks names up by the system's resolver in a namespace of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

BLACK_HOLE = "2001:db8::1"
ADDRESSES = {
    "good": {1: "127.0.0.1"},
    "dual": {1: "127.0.0.1", 28: BLACK_HOLE},
    "dead": {28: BLACK_HOLE},
}
"""First label -> record type -> content."""


class NameServer(threading.Thread):
    """Answers by the first label of a name: an address for `good`, `dual` has a black hole too, `hang` gets no answer."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mode: str | None = None
        """In place of every first label."""
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))

    def run(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                data, client = self._socket.recvfrom(4096)
                answer = self._answer(dns.message.from_wire(data))
                if answer is not None:
                    self._socket.sendto(answer.to_wire(), client)

    def _answer(self, query: Any) -> Any:
        question = query.question[0]
        self.asked.append(str(question.name))
        kind = self.mode or str(question.name).partition(".")[0].rstrip("0123456789")
        if kind == "hang":
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if kind == "servfail":
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif kind == "refused":
            answer.set_rcode(dns.rcode.REFUSED)
        elif kind not in ADDRESSES:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype in ADDRESSES[kind]:
            content = ADDRESSES[kind][question.rdtype]
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", question.rdtype, content))
        return answer
