"""Redirects from memory: what the header fields of a request led to, for as long as it does, whatever path is asked for."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from geosteer.powerdns.reply_memory import ReplyMemory
from geosteer.redirect.plain_requests import FIRST_LINE, LONGEST, ODD_TARGET, read_fields
from geosteer.redirect.replies import lines_of, status_line, wire

if TYPE_CHECKING:
    from re import Match

    from geosteer.library.steering import Steering
    from geosteer.redirect.redirector import Redirector
    from geosteer.redirect.replies import Headers

OTHERS = (b"", 0)
"""Remembered of header fields that are not plain."""


class Sender:
    """The other end of a connection."""

    __slots__ = ("peer", "scheme", "text")

    def __init__(self, scheme: str, peer: str | None) -> None:
        self.scheme = scheme
        self.peer = peer
        """Its address; None for a unix socket."""
        self.text = f"{scheme} {peer}".encode()


class QuickRedirects:
    """Answers plain requests of one event loop, from a memory by the hash of header fields and peer.

    Remembered is what `Redirector.reply` said, so that answers are the same; counted is each. The hash stands for the fields
    as in the worker behind PowerDNS.
    """

    def __init__(self, steering: Steering, redirector: Redirector) -> None:
        self._steering = steering
        self._redirector = redirector
        self._memory = ReplyMemory()
        self._epoch = 0
        self._always: Headers | None = None
        self._opening = b""

    def answers(self, data: bytes, sender: Sender, always: Headers, now: float) -> tuple[list[bytes], int]:
        """Answers to the plain requests that *data* begins with.

        Args:
            data: begins with a request.
            always: header fields of every answer; another list as soon as they change.
            now: monotonic.

        Returns: what is to be sent, and how many bytes of *data* it answers.
        """
        out: list[bytes] = []
        at = 0
        running = self._steering.running
        chooser = running.chooser
        with running.lock:
            epoch = chooser.epoch(now)
            if not epoch:
                return out, 0
            memory = self._memory
            if epoch != self._epoch:
                memory.clear()
                self._epoch = epoch
            if always is not self._always:
                self._renew(always)
            opening, who = self._opening, sender.text
            tags, numbers, known = memory.tags, memory.numbers, memory.answers
            while (first := FIRST_LINE.match(data, at)) is not None:
                begin = first.end()
                end = data.find(b"\r\n\r\n", begin, begin + LONGEST) + 4
                target = first[2]
                if end < 4 or ODD_TARGET in target:
                    break
                block = data[begin:end] + who
                key = hash(block)
                place = key & memory.mask
                answer = known[numbers[place]] if tags[place] == key else None
                if answer is None:
                    reply = self._learn(block, data[begin:end], first, sender)
                    if reply is None:
                        break
                    out.append(reply)
                elif not answer[0]:
                    break
                else:
                    chooser.count(answer[1])
                    out += (opening, answer[0] % target)
                at = end
        return out, at

    def _learn(self, block: bytes, lines: bytes, first: Match[bytes], sender: Sender) -> bytes | None:
        """The whole answer to a request that is not remembered; None: somebody else has to answer.

        Args: block: its key; lines: its header fields.
        """
        fields = read_fields(lines)
        if fields is None:
            self._memory.keep(block, OTHERS)
            return None
        method, target = first.groups()
        try:
            reply = self._redirector.reply(
                method.decode(), target, sender.scheme, sender.peer, fields, wait=False
            )
        except Exception:  # noqa: BLE001  # whoever answers instead waits, or logs it
            return None
        if reply.status == HTTPStatus.BAD_REQUEST:
            return None  # nothing was decided, and the connection is to be closed
        if reply.lasting is not None:
            origin = reply.headers[0][1].removesuffix(target)
            after = lines_of(reply.headers[1:]) + b"\r\n"
            template = b"location: %b%%b\r\n%b" % (_escaped(origin), _escaped(after))
            self._memory.keep(block, (template, reply.lasting.slot))
        assert self._always is not None
        return wire(reply, self._always, body=method != b"HEAD")

    def _renew(self, always: Headers) -> None:
        """Take over the fields of every answer."""
        self._opening = status_line(self._redirector.status) + lines_of(always)
        self._always = always


def _escaped(text: bytes) -> bytes:
    """As a template has it."""
    return text.replace(b"%", b"%%")
