"""A receiver of webhooks, as somebody's own system would have one: a small server on loopback."""

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from standardwebhooks import Webhook, WebhookVerificationError
from typing_extensions import override

_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")


@dataclass(frozen=True, slots=True)
class Received:
    """A message whose signature is right."""

    webhook_id: str
    event: dict[str, Any]


class Receiver:
    """What arrived, and the secret by which it is verified."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._verifier: Webhook | None = None
        self._arrived: queue.Queue[Received] = queue.Queue()

    def trust(self, secret: str) -> None:
        """Take messages that are signed with this secret, and no others."""
        self._verifier = Webhook(secret)

    def take(self, body: bytes, headers: dict[str, str]) -> bool:
        """Take a message in; False if its signature is wrong."""
        if self._verifier is None:
            return False
        try:
            self._verifier.verify(body, headers)
        except WebhookVerificationError:
            return False
        self._arrived.put(Received(headers["webhook-id"], json.loads(body)))
        return True

    def wait_for(self, event_type: str, subject: str, seconds: float) -> list[Received]:
        """Wait for a message; all that arrived until then, it the last. Empty: it never came."""
        until = time.monotonic() + seconds
        arrived: list[Received] = []
        while (left := until - time.monotonic()) > 0:
            try:
                received = self._arrived.get(timeout=left)
            except queue.Empty:
                break
            arrived.append(received)
            if (received.event["type"], received.event["subject"]) == (event_type, subject):
                return arrived
        return []


@contextmanager
def open_receiver() -> Iterator[Receiver]:
    """Listen on a free port of loopback, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        """Answers 204 to what is signed rightly, 401 to anything else."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name: self.headers.get(name, "") for name in _HEADERS}
            self.send_response(204 if receiver.take(body, headers) else 401)
            self.end_headers()

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the demo tells what arrived."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/servicelane")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
