"""The control of freshness that is asked, as workers are: a message of Redis has it read one key, which is its answer then.

Run as a program: `asked_listener.py HOST PORT CHANNEL KEY`. A line on stdin is a question.
"""

import socket
import sys
from os import read, write
from select import POLLIN, poll


def main() -> None:
    redis = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    redis.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    redis.sendall(b"HELLO 3\r\n")
    redis.recv(65536)
    redis.sendall(f"SUBSCRIBE {sys.argv[3]}\r\n".encode())
    redis.recv(65536)
    value = b"nothing yet"
    poller = poll()
    poller.register(0, POLLIN)
    poller.register(redis.fileno(), POLLIN)
    while True:
        ready = [fd for fd, _ in poller.poll()]
        if redis.fileno() in ready:
            if not redis.recv(65536):
                return
            redis.sendall(f"GET {sys.argv[4]}\r\n".encode())
            value = redis.recv(65536)
        if 0 in ready:
            if not read(0, 65536):
                return
            write(1, value)


if __name__ == "__main__":
    main()
