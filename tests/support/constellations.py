"""Several Redis servers that belong together: a primary with a replica and sentinels, and a Cluster of six."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Self

import redis
from support.servers import REDIS, RedisServer, free_port, need, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

QUICK = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
SLOTS = 16384


class SentinelServer(RedisServer):
    """A sentinel that watches over one primary, called `steer`; it declares it dead after a second and a half."""

    def __init__(self, primary_port: int, quorum: int = 2, *, program: str = REDIS) -> None:
        super().__init__(tcp=True, program=program)
        (self.directory / "sentinel.conf").write_text(
            f"port {self.port}\nbind 127.0.0.1\nunixsocket {self.socket}\ndir {self.directory}\n"
            f"sentinel monitor steer 127.0.0.1 {primary_port} {quorum}\n"
            "sentinel down-after-milliseconds steer 1500\nsentinel failover-timeout steer 3000\n"
        )

    def start(self, wait: bool = True) -> None:
        """Start, and wait until it answers unless *wait* is false."""
        self._launch([need(self.program), str(self.directory / "sentinel.conf"), "--sentinel"])
        if wait:
            self.wait_ready()


class Watched:
    """A primary, a replica, and three sentinels."""

    def agreed(self) -> bool:
        """Whether all sentinels name the replica as the primary; before that one may still lead to the old one."""
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                found = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "steer")
            if int(found[1]) != self.replica.port:
                return False
        return True

    def __init__(self, *args: str, program: str = REDIS) -> None:
        self.primary = RedisServer(*args, *QUICK, tcp=True, program=program)
        follow = ("--replicaof", f"127.0.0.1 {self.primary.port}")
        self.replica = RedisServer(*args, *QUICK, *follow, tcp=True, program=program)
        self.sentinels = [SentinelServer(self.primary.port, program=program) for _ in range(3)]
        self._stack = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """`redis+sentinel://...`, as `[redis] url` takes it."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in self.sentinels)}/steer"

    def __enter__(self) -> Self:
        for server in (self.primary, self.replica, *self.sentinels):
            self._stack.enter_context(server)
        wait_until(self._settled, what="three sentinels that know each other and the replica")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def failover(self) -> None:
        """Have a sentinel make the replica the primary, in good order."""
        with self.sentinels[0].client(protocol=2) as client:
            client.execute_command("SENTINEL", "FAILOVER", "steer")

    def _settled(self) -> bool:
        for sentinel in self.sentinels:
            with sentinel.client(protocol=2) as client:
                fields: Any = client.execute_command("SENTINEL", "MASTER", "steer")
                if not isinstance(fields, dict):
                    fields = dict(zip(fields[::2], fields[1::2], strict=True))
                known = {_text(key): _text(value) for key, value in fields.items()}
                if (known["num-slaves"], known["num-other-sentinels"]) != ("1", "2"):
                    return False
        with self.replica.client() as client:
            return bool(client.info("replication")["master_link_status"] == "up")


class Cluster:
    """Three primaries, each with a replica; a node counts as dead after two seconds, or *timeout* milliseconds."""

    def __init__(self, replicas: int = 1, timeout: int = 2000, *, program: str = REDIS) -> None:
        self.nodes = [
            RedisServer(
                "--cluster-enabled", "yes", "--cluster-node-timeout", str(timeout), "--cluster-port", str(free_port()), *QUICK,
                tcp=True, program=program,
            )
            for _ in range(3 * (1 + replicas))
        ]  # fmt: skip
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        for node in self.nodes:
            self._stack.enter_context(node)
        first = self.nodes[0]
        bus = {node.port: node.args[node.args.index("--cluster-port") + 1] for node in self.nodes}
        for number, node in enumerate(self.nodes):
            with node.client() as client:
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                if number < 3:
                    low, high = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
                    client.execute_command("CLUSTER", "ADDSLOTSRANGE", low, high)
                if node is not first:
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", first.port, bus[first.port])
        wait_until(lambda: all(self._knows(node, len(self.nodes)) for node in self.nodes), what="a Cluster")
        for number, node in enumerate(self.nodes[3:]):
            with node.client() as client:
                client.execute_command("CLUSTER", "REPLICATE", self.identity(self.nodes[number % 3]))
        wait_until(lambda: all(self._follows(node) for node in self.nodes[3:]), what="replicas in step")
        wait_until(lambda: all(self._fine(node) for node in self.nodes), what="cluster_state:ok")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def url(self, *nodes: RedisServer) -> str:
        """`redis+cluster://...` with some of the nodes, or the first three."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in nodes or self.nodes[:3])}"

    def identity(self, node: RedisServer) -> str:
        """What the Cluster calls a node."""
        with node.client() as client:
            return _text(client.execute_command("CLUSTER", "MYID"))

    def owner(self, key: str, asked: RedisServer | None = None) -> RedisServer:
        """The node that has a key's slot, as a node that runs sees it."""
        node = asked or next(node for node in self.nodes if node.running)
        with node.client() as client:
            slot = int(client.execute_command("CLUSTER", "KEYSLOT", key))
            ranges: Any = client.execute_command("CLUSTER", "SHARDS")
        for shard in map(_pairs, ranges):
            slots = shard["slots"]
            if any(low <= slot <= high for low, high in zip(slots[::2], slots[1::2], strict=True)):
                for one in map(_pairs, shard["nodes"]):
                    # Valkey goes on to list a primary that has failed.
                    if _text(one["role"]) == "master" and _text(one["health"]) == "online":
                        return next(node for node in self.nodes if node.port == one["port"])
        raise LookupError(key)

    def migrate(self, key: str, target: RedisServer, pause: float = 0.0) -> dict[str, float]:
        """Move a key's slot, key by key, *pause* seconds between them; how long MIGRATE took for each key."""
        source = self.owner(key)
        took = {}
        with source.client(socket_timeout=60) as old, target.client() as new:
            slot = int(old.execute_command("CLUSTER", "KEYSLOT", key))
            new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.identity(source))
            old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.identity(target))
            while names := old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1):
                began = time.monotonic()
                old.execute_command("MIGRATE", "127.0.0.1", target.port, names[0], 0, 60000)
                took[_text(names[0])] = time.monotonic() - began
                time.sleep(pause)
            for node in (target, source, *self.nodes[:3]):
                with node.client() as client, contextlib.suppress(redis.RedisError):
                    client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", self.identity(target))
        return took

    def _knows(self, node: RedisServer, count: int) -> bool:
        with node.client() as client:
            return int(_info(client)["cluster_known_nodes"]) == count

    def _fine(self, node: RedisServer) -> bool:
        with node.client() as client:
            return _info(client)["cluster_state"] == "ok"

    def _follows(self, node: RedisServer) -> bool:
        with node.client() as client:
            return bool(client.info("replication").get("master_link_status") == "up")


def running(servers: Sequence[RedisServer]) -> list[RedisServer]:
    """Those that have not been ended."""
    return [server for server in servers if server.running]


def _info(client: Any) -> dict[str, str]:
    reply: Any = client.execute_command("CLUSTER", "INFO")
    if isinstance(reply, dict):
        return {_text(key): _text(value) for key, value in reply.items()}
    return dict(line.split(":", 1) for line in _text(reply).split("\r\n") if ":" in line)


def _pairs(reply: Any) -> dict[str, Any]:
    items = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {_text(key): value for key, value in items}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
