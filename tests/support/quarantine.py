"""The quarantine over HTTP: something is sent that lies there, and is looked at."""

from typing import Any

import httpx
import orjson

QUARANTINE = "/v1/quarantine"


async def send(client: httpx.AsyncClient, *events: Any) -> list[dict[str, Any]]:
    response = await client.post("/v1/events", content=orjson.dumps(events))
    assert response.status_code == 202
    results: list[dict[str, Any]] = response.json()["results"]
    return results


async def quarantined(client: httpx.AsyncClient, sent: Any) -> str:
    (result,) = await send(client, sent)
    assert result["outcome"] == "quarantined"
    item: str = result["quarantine_id"]
    return item


async def get(client: httpx.AsyncClient, item: str) -> dict[str, Any]:
    response = await client.get(f"{QUARANTINE}/{item}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found
