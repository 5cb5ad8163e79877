"""The control of freshness: waits for a message of Redis, reads one key, and says so. It does nothing else.

Run as a program: `listener.py HOST PORT`. Writes a line when it listens, and one for each message.
"""

import socket
import sys
from os import write

CHANNEL, KEY = "bench:change", "bench:value"


def main() -> None:
    redis = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    redis.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    redis.sendall(b"HELLO 3\r\n")
    redis.recv(65536)
    redis.sendall(f"SUBSCRIBE {CHANNEL}\r\n".encode())
    while redis.recv(65536):  # what it subscribed to, then messages
        redis.sendall(f"GET {KEY}\r\n".encode())
        redis.recv(65536)
        write(1, b"\n")


if __name__ == "__main__":
    main()
