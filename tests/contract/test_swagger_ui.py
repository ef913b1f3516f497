"""Swagger UI in a real browser, from a real server: complete, readable, and never beyond it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from typing_extensions import override

from app.main import create_app
from app.settings import Settings
from tests.support.browser import Page, open_page

RENDERED = "document.querySelectorAll('.opblock-tag-section').length"


class _Server(uvicorn.Server):
    """A server inside a test: Ctrl-C belongs to pytest."""

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """Serve on a free port of loopback; gives the address."""
    server = _Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.05)
            assert not task.done()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def swagger_ui(database_url: str) -> AsyncIterator[tuple[FastAPI, str, Page]]:
    app = create_app(Settings(database_url=SecretStr(database_url)), ticking=False)
    async with serving(app) as address, open_page() as page:
        await page.go(f"{address}/docs")
        await page.wait_for(RENDERED)
        yield app, address, page


async def test_it_shows_every_operation_and_asks_nobody_else(database_url: str) -> None:
    async with swagger_ui(database_url) as (app, address, page):
        document = app.openapi()
        operations = {
            operation["operationId"]: operation
            for methods in document["paths"].values()
            for operation in methods.values()
        }
        tags = await page.ask(
            "[...document.querySelectorAll('.opblock-tag')].map(tag => tag.dataset.tag)"
        )
        assert set(tags) >= {tag["name"] for tag in document["tags"]}
        shown = await page.ask(
            "[...document.querySelectorAll('.opblock-summary-description')]"
            ".map(summary => summary.textContent)"
        )
        assert {operation["summary"] for operation in operations.values()} <= set(shown)

        assert page.complaints == []
        assert page.requests
        strangers = [
            url
            for url in page.requests
            if not url.startswith((f"{address}/", "data:", "blob:", "about:"))
        ]
        assert strangers == []


async def _expand(page: Page, operation_id: str) -> str:
    """Open an operation; gives the selector of its block."""
    block = await page.ask(
        "[...document.querySelectorAll('.opblock')]"
        f".find(block => block.id.endsWith('-{operation_id}')).id"
    )
    await page.ask(f"document.querySelector('#{block} .opblock-summary-control').click()")
    await page.wait_for(f"document.querySelector('#{block} .execute') !== null")
    return f"#{block}"


async def test_what_it_fills_in_can_be_sent(database_url: str) -> None:
    async with swagger_ui(database_url) as (_, _, page):
        store = await _expand(page, "put_store")
        await page.ask(f"document.querySelector('{store} .execute').click()")
        status = (
            f"document.querySelector('{store} .live-responses-table tbody .response-col_status')"
        )
        assert (await page.wait_for(f"{status}?.textContent")).startswith("201")

        events = await _expand(page, "post_events")
        await page.ask(f"document.querySelector('{events} .execute').click()")
        status = (
            f"document.querySelector('{events} .live-responses-table tbody .response-col_status')"
        )
        assert (await page.wait_for(f"{status}?.textContent")).startswith("202")
        body = await page.ask(
            f"document.querySelector('{events} .live-responses-table .highlight-code').textContent"
        )
        assert '"accepted": 1' in body, body
        assert page.complaints == []


async def test_the_body_of_an_event_shows_each_type(database_url: str) -> None:
    async with swagger_ui(database_url) as (app, _, page):
        events = await _expand(page, "post_events")
        examples = await page.ask(
            f"[...document.querySelectorAll('{events} .examples-select option')]"
            ".map(option => option.value)"
        )
        posted = app.openapi()["components"]["schemas"]
        types = [name.removeprefix("Event.") for name in posted if name.startswith("Event.")]
        assert len(types) > 20
        assert set(types) <= set(examples), json.dumps(examples)
        body = f"{events} .opblock-section-request-body"
        await page.ask(
            f"[...document.querySelectorAll('{body} .tablinks')]"
            ".find(tab => tab.textContent === 'Schema').click()"
        )
        titles = f"[...document.querySelectorAll('{body} .json-schema-2020-12__title')]"
        await page.wait_for(f"{titles}.length > 20")
        shown = await page.ask(f"{titles}.map(title => title.textContent.toLowerCase())")
        missing = [name for name in types if not any(name in title for title in shown)]
        assert missing == [], json.dumps(shown)
