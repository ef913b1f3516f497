"""Debian's Chromium without a window, driven over the DevTools protocol.

Everything that a page asks for or complains about is kept, so that a test can tell what would
have left the machine.
"""

import asyncio
import base64
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.asyncio.client import ClientConnection, connect

_FLAGS: Final = (
    "--headless",
    "--no-sandbox",  # it needs rights that containers rarely give, and only our own page is shown
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--lang=en-US",
    "--remote-debugging-port=0",
    "--window-size=1280,1400",
    # no name is ever looked up: what isn't on this machine fails, and is seen to have been tried
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
_LISTENING: Final = re.compile(r"DevTools listening on (ws://\S+)")
_PATIENCE: Final = 120.0


class Page:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._session: str | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self.requests: list[str] = []
        """Every URL that it asked for."""
        self.complaints: list[str] = []
        """Warnings and errors of its console, and exceptions that nobody caught."""

    async def open(self) -> None:
        """Make the tab and listen to it."""
        target = await self._call("Target.createTarget", url="about:blank")
        attached = await self._call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self._call(f"{domain}.enable")

    async def go(self, url: str) -> None:
        """Load a page."""
        await self._call("Page.navigate", url=url)

    async def ask(self, script: str) -> Any:
        """Evaluate JavaScript; what it gives must be JSON."""
        answer = await self._call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def wait_for(self, script: str) -> Any:
        """Evaluate JavaScript until it gives something true."""
        async with asyncio.timeout(_PATIENCE):
            while not (value := await self.ask(script)):
                await asyncio.sleep(0.1)
        return value

    async def photograph(self, path: Path, *, height: int | None = None) -> None:
        """Save a picture of the page, down to a height; None is all of it."""
        if height is None:
            height = int(await self.ask("document.documentElement.scrollHeight"))
        picture = await self._call(
            "Page.captureScreenshot",
            captureBeyondViewport=True,
            clip={"x": 0, "y": 0, "width": 1280, "height": height, "scale": 1},
        )
        path.write_bytes(base64.b64decode(picture["data"]))

    async def listen(self) -> None:
        """Take in what the browser says, until it is gone."""
        async for text in self._connection:
            said = json.loads(text)
            if "id" in said:
                self._waiting.pop(said["id"]).set_result(said)
            else:
                self._note(said["method"], said["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Log.entryAdded" if params["entry"]["level"] in {"warning", "error"}:
                self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url')}")
            case "Runtime.consoleAPICalled" if params["type"] in {"warning", "error", "assert"}:
                self.complaints.append(json.dumps(params["args"]))
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"]))
            case _:
                pass

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            command["sessionId"] = self._session
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = waiting
        await self._connection.send(json.dumps(command))
        async with asyncio.timeout(_PATIENCE):
            answer = await waiting
        assert "error" not in answer, (method, answer)
        result: dict[str, Any] = answer["result"]
        return result


def chromium() -> str:
    """The browser; without one the test is skipped, but in CI it fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        message = "Chromium is not installed (apt-get install chromium)."
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@asynccontextmanager
async def open_page() -> AsyncIterator[Page]:
    """A tab of a new browser with a profile of its own."""
    program = chromium()
    profile = tempfile.mkdtemp(prefix="servicelane-chromium-")
    flags = [*_FLAGS, f"--user-data-dir={profile}"]
    process = await asyncio.create_subprocess_exec(
        program, *flags, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with connect(await _address_of(process), max_size=None) as connection:
            page = Page(connection)
            listening = asyncio.create_task(page.listen())
            try:
                await page.open()
                yield page
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        shutil.rmtree(profile, ignore_errors=True)


async def _address_of(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = []
    async with asyncio.timeout(_PATIENCE):
        async for line in process.stderr:
            said.append(line.decode(errors="replace"))
            if found := _LISTENING.search(said[-1]):
                return found[1]
    raise RuntimeError("Chromium did not start:\n" + "".join(said))
