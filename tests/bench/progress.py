"""Signs of life on stderr while a run takes its time; results alone go to stdout."""

from __future__ import annotations

import sys
import threading
import time

SILENCE = 30
"""Seconds without anything new after which a line says that work goes on, where stderr is no terminal."""


class Progress:
    """What goes on now: one line that is written over on a terminal, a line each elsewhere."""

    def __init__(self) -> None:
        self._began = self._shown = time.monotonic()
        self._text = "getting ready"
        self._terminal = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._go_on, daemon=True).start()

    def say(self, text: str) -> None:
        """Something new goes on, or has been done."""
        with self._lock:
            self._text = text
            self._show(text)

    def detail(self, text: str) -> None:
        """What is done just now: too much to keep, but for somebody who watches."""
        with self._lock:
            self._text = text
            if self._terminal:
                self._show(text)

    def clear(self) -> None:
        """Make room for what is printed next."""
        if self._terminal:
            with self._lock:
                sys.stderr.write("\r\033[K")
                sys.stderr.flush()

    def close(self) -> None:
        """Say no more."""
        self._ended.set()
        self.clear()

    def _go_on(self) -> None:
        while not self._ended.wait(1):
            with self._lock:
                if self._terminal:
                    self._show(self._text)
                elif time.monotonic() - self._shown >= SILENCE:
                    self._show(f"still at it: {self._text}")

    def _show(self, text: str) -> None:
        self._shown = time.monotonic()
        minutes, seconds = divmod(int(self._shown - self._began), 60)
        line = f"[{minutes:3}:{seconds:02}] {text}"
        sys.stderr.write(f"\r\033[K{line}" if self._terminal else line + "\n")
        sys.stderr.flush()
