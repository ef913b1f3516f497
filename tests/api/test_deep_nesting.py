"""Bodies nested millions of levels deep: an outcome of their own, while others are served."""

import asyncio
import time

import httpx
import orjson
import pytest

from app.db.engine import Pool
from app.factory import Factory
from tests.support.facts import opened
from tests.support.logs import check_store
from tests.support.posting import add_store

MEBIBYTE = 1024 * 1024
ATTRIBUTES = {name: value for name, value in opened("R1").items() if name != "data"}
HEAD = orjson.dumps(ATTRIBUTES)[:-1] + b',"data":{"work_type":"other","advisor":"A1","x":'
GOOD = orjson.dumps(opened("R0", event_id="good"))

NESTED = {
    "brackets": (b"[", b"]", 9 * MEBIBYTE),
    "objects in lists": (b'[{"a":', b"}]", 2 * MEBIBYTE),
}
"""What opens and closes a level, and how large the whole is: not all that is read is as quick."""


def deep(name: str, size: int) -> bytes:
    opening, closing, most = NESTED[name]
    levels = min(size, most) // len(opening + closing)
    return opening * levels + b"1" + closing * levels


async def longest_wait(sending: asyncio.Task[httpx.Response]) -> float:
    """Take turns in the loop until the answer is there; gives the longest wait for one.

    It is told in seconds of this process's work: what others do on the machine doesn't count.
    """
    longest = 0.0
    while not sending.done():
        begin = time.process_time()
        await asyncio.sleep(0.001)
        longest = max(longest, time.process_time() - begin)
    return longest


@pytest.mark.parametrize("mode", ["structured", "batch", "binary", "lines"])
@pytest.mark.parametrize("name", NESTED)
async def test_nobody_waits_for_a_body_that_is_nested_millions_of_levels_deep(
    name: str, mode: str, client: httpx.AsyncClient, factory: Factory, pool: Pool
) -> None:
    await add_store(factory)
    item = HEAD + deep(name, 9 * MEBIBYTE) + b"}}"
    headers = {"Content-Type": "application/json"}
    match mode:
        case "structured":
            body = item
        case "batch":
            body = b"[" + GOOD + b"," + item + b"]"
        case "binary":
            body = item[item.index(b'"data":') + 7 : -1]
            headers |= {f"ce-{key}": str(value) for key, value in ATTRIBUTES.items()}
        case _:
            part = HEAD + deep(name, MEBIBYTE - 1000) + b"}}\n"
            body = GOOD + b"\n" + part * 3
            headers = {"Content-Type": "application/x-ndjson"}
    sending = asyncio.create_task(
        client.post("/v1/events", content=body, headers=headers, timeout=60)
    )
    waited = await longest_wait(sending)
    answer = sending.result()
    assert answer.status_code == 202, answer.text[:500]
    results = [
        result
        for line in answer.text.splitlines()
        for result in orjson.loads(line)["results"]
        if result["id"] != "good"
    ]
    assert {result["reason"] for result in results} == {"invalid-data"}
    assert {fault["pointer"] for result in results for fault in result["errors"]} == {"/data/x"}
    assert {fault["code"] for result in results for fault in result["errors"]} == {"too-deep"}
    assert await pool.fetchval("SELECT count(*) FROM quarantine") == 1
    assert len(await check_store(pool)) == (mode in {"batch", "lines"})
    assert waited < 1.5
