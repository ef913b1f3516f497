"""Without SERVICELANE_SANDBOX=1 nobody moves the service's time."""

import httpx

from app.db.engine import Pool

CLOCK = "/v1/sandbox/clock"


async def test_moving_the_time_is_409_where_it_is_switched_off(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    for response in (
        await client.get(CLOCK),
        await client.put(CLOCK, json={"now": "2030-01-01T00:00:00Z"}),
        await client.put(CLOCK, json={"now": "2000-01-01T00:00:00Z"}),
    ):
        assert response.status_code == 409
        assert "SERVICELANE_SANDBOX" in response.json()["detail"]
    assert (await client.get("/healthz")).json()["sandbox"] is False
    assert await pool.fetchval("SELECT count(*) FROM sandbox_clock WHERE mover IS NOT NULL") == 0
