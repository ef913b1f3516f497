"""Ports that nobody else on this machine is given."""

import platform
import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """Reserve a port of the loopback for whoever is told its number.

    A server that asks for it gets it. While none does, whoever connects is refused; a port that
    was free and let go of may be another process's by then.
    """
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        # one that is bound so, and never listens, keeps nobody off who asks for its number
        if platform.system() != "Linux":  # elsewhere it does
            bound.close()
        yield port
