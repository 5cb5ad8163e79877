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

PLACES = 1 << 18
"""Of the memory, at most: 2.5 MiB. What is not remembered takes ten times as long."""
OTHERS = (b"", 0)
"""Remembered of header fields that are not plain."""

_END = b"\r\n\r\n"
_first_line = FIRST_LINE.match


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
        self._memory = ReplyMemory(PLACES)
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
        with running.lock:
            chooser = running.chooser
            epoch = chooser.epoch(now)
            if not epoch:
                return out, 0
            memory = self._memory
            if epoch != self._epoch:
                memory.clear()
                self._epoch = epoch
            if always is not self._always:
                self._renew(always)
            tags, who = memory.tags, sender.text
            while (first := _first_line(data, at)) is not None:
                begin = first.end()
                end = data.find(_END, begin, begin + LONGEST) + 4
                target = first[2]
                if end < 4 or ODD_TARGET in target:
                    break
                key = hash(data[begin:end] + who)
                place = key & memory.mask
                answer = memory.answers[memory.numbers[place]] if tags[place] == key else None
                if answer is None:
                    reply = self._learn(data[begin:end], first, sender)
                    if reply is None:
                        break
                    out.append(reply)
                elif not answer[0]:
                    break
                else:
                    chooser.count(answer[1])
                    out.append(self._opening)
                    out.append(answer[0] % target)
                at = end
        return out, at

    def _learn(self, lines: bytes, first: Match[bytes], sender: Sender) -> bytes | None:
        """The whole answer to a request that is not remembered; None: somebody else has to answer.

        Args: lines: its header fields.
        """
        fields = read_fields(lines)
        if fields is None:
            self._memory.keep(lines + sender.text, OTHERS)
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
        if reply.template is not None:
            self._memory.keep(lines + sender.text, reply.template)
            return self._opening + reply.template[0] % target
        assert self._always is not None
        return wire(reply, self._always, body=method != b"HEAD")

    def _renew(self, always: Headers) -> None:
        """Take over the fields of every answer."""
        self._opening = status_line(self._redirector.status) + lines_of(always)
        self._always = always
