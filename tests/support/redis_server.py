"""A real Redis server for tests."""

import shutil
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import redis
import redis.asyncio

from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.support.tls import TlsFiles

# A user of the tests themselves, so that `sync()` works whatever users a test gives the server.
ADMIN, ADMIN_PASSWORD = "dsync-admin", "dsync-admin"

Stats = dict[str, dict[str, float]]


class RedisServer(Daemon):
    """A server on a TCP port, a Unix socket and, where certificates are given, a TLS port.

    :param password: of the default user
    :param users: ACL rules, for example "alice on >secret ~* &* +@all"
    :param tls: certificates; clients of the TLS port must show one of the same CA
    :param replica_of: the master of this server
    :param options: further lines of redis.conf, for example {"maxmemory": "2mb"}
    :param environment: further variables of the process
    """

    def __init__(
        self,
        *,
        password: str | None = None,
        users: Sequence[str] = (),
        tls: TlsFiles | None = None,
        replica_of: "RedisServer | None" = None,
        options: Mapping[str, str | int] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.environment = environment or {}
        self.password = password
        self.users = users
        self.tls = tls
        self.replica_of = replica_of
        self.options = dict(options or {})
        self.tls_port = 0
        self.unix_path = str(self.directory / "socket")

    def configuration(self) -> list[str]:
        """Return the lines of redis.conf: nothing is kept on disk unless the options say so."""
        lines = [
            f"unixsocket {self.unix_path}",
            'save ""',
            "enable-debug-command yes",
            f"user {ADMIN} on >{ADMIN_PASSWORD} ~* &* +@all",
            f"masteruser {ADMIN}",
            f"masterauth {ADMIN_PASSWORD}",
            "repl-diskless-sync-delay 0",
        ]
        lines += [f"user {user}" for user in self.users]
        if self.password is not None:
            lines.append(f'requirepass "{self.password}"')
        if self.replica_of is not None:
            lines.append(f"replicaof 127.0.0.1 {self.replica_of.port}")
        if self.tls is not None:
            lines += [
                f"tls-port {self.tls_port}",
                f"tls-ca-cert-file {self.tls.ca}",
                f"tls-cert-file {self.tls.server}",
                f"tls-key-file {self.tls.server}",
            ]
        return lines + [f"{name} {value}" for name, value in self.options.items()]

    @property
    def url(self) -> str:
        """URL of the TCP port, with the default user's password."""
        return f"redis://{self._credentials()}127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """URL of the Unix socket, with the default user's password."""
        return f"unix://{self._credentials()}{self.unix_path}?db=0"

    def client(self, **kwargs: Any) -> redis.asyncio.Redis:
        """Return an asyncio client of the TCP port; the caller closes it (`async with`)."""
        options: dict[str, Any] = {"host": "127.0.0.1", "port": self.port}
        options |= {"password": self.password} | kwargs
        return redis.asyncio.Redis(**options)

    def tls_client(self, **kwargs: Any) -> redis.asyncio.Redis:
        """Return an asyncio client of the TLS port; the caller closes it (`async with`)."""
        if self.tls is None:
            raise RuntimeError("this server has no certificates")
        return self.client(port=self.tls_port, **self.tls.client_options(), **kwargs)

    def sync(self) -> redis.Redis:
        """Return a blocking client that may do everything, for assertions."""
        return redis.Redis(
            unix_socket_path=self.unix_path,
            username=ADMIN,
            password=ADMIN_PASSWORD,
            decode_responses=True,
            socket_timeout=10,
        )

    def flush(self) -> None:
        """Forget all data, scripts and statistics."""
        with self.sync() as client:
            client.flushall()
            client.script_flush("SYNC")
            client.config_resetstat()

    def restart(self, *, keep_data: bool = True) -> None:
        """Stop where it still runs, and start on the same ports with the old data or with none.

        After a `kill` the old data are what the options (appendonly) made the server keep.
        """
        if self.running and keep_data:
            self.resume()
            with self.sync() as client:
                client.save()
        self.stop()
        if not keep_data:
            (self.directory / "dump.rdb").unlink(missing_ok=True)
            shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)
        self.start()

    def commandstats(self) -> Stats:
        """Return, for each command since the last flush, its `calls`, `usec` and so on."""
        with self.sync() as client:
            stats: Stats = client.info("commandstats")
        return {name.removeprefix("cmdstat_"): numbers for name, numbers in stats.items()}

    def connections(self) -> list[dict[str, str]]:
        """Return CLIENT LIST without the connections of `sync()`."""
        with self.sync() as client:
            return [each for each in client.client_list() if each["user"] != ADMIN]

    def _choose_ports(self) -> None:
        super()._choose_ports()
        self.tls_port = free_port()

    def _credentials(self) -> str:
        return f":{quote(self.password, safe='')}@" if self.password else ""
