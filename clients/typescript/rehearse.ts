/**
 * Rehearses a month of one repair order against a sandbox, with a client that was generated from
 * the OpenAPI document: the car is late, and nobody makes the follow-up call in time.
 *
 * Usage: node build/rehearse.js BASE_URL KEY STORE
 */
import createClient from "openapi-fetch";

import type { components, paths } from "./generated/schema.js";

type Opened = components["schemas"]["Event.repair_order.opened"];
type Settled = components["schemas"]["Event.repair_order.settled"];

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

async function main(baseUrl: string, key: string, store: string): Promise<void> {
  const client = createClient<paths>({
    baseUrl,
    headers: { Authorization: `Bearer ${key}` },
  });

  await done(
    client.PUT("/v1/stores/{store_id}", {
      params: { path: { store_id: store } },
      body: { name: "Rehearsal", time_zone: "Asia/Shanghai", currency: "CNY" },
    }),
  );

  const clock = await done(client.GET("/v1/sandbox/clock"));
  const now = Date.parse(clock.now);
  const envelope = {
    specversion: "1.0",
    source: "/dms/rehearsal",
    store,
    subject: "RO1001",
    datacontenttype: "application/json",
  } as const;
  const opened: Opened = {
    ...envelope,
    id: "repair_order/RO1001/1",
    type: "repair_order.opened",
    time: new Date(now - 8 * HOUR).toISOString(),
    data: {
      work_type: "ordinary_repair",
      advisor: "A07",
      customer_no: "C0001",
      promised_at: new Date(now - 2 * HOUR).toISOString(),
    },
  };
  const settled: Settled = {
    ...envelope,
    id: "repair_order/RO1001/2",
    type: "repair_order.settled",
    time: new Date(now - HOUR).toISOString(),
    data: { amounts: { labor: "300", parts: "520.50" } },
  };
  const taken = await done(
    client.POST("/v1/events", {
      headers: { "Content-Type": "application/cloudevents-batch+json" },
      body: [opened, settled],
    }),
  );
  if (typeof taken === "string") {
    throw new Error("lines are answered to lines alone");
  }

  const order = { store_id: store, ro_number: "RO1001" };
  const known = await done(
    client.GET("/v1/stores/{store_id}/repair-orders/{ro_number}", { params: { path: order } }),
  );
  await done(
    client.PUT("/v1/sandbox/clock", { body: { now: new Date(now + 9 * DAY).toISOString() } }),
  );
  const call = await done(
    client.GET("/v1/stores/{store_id}/repair-orders/{ro_number}/follow-ups/{kind}", {
      params: { path: { ...order, kind: "first" } },
    }),
  );

  console.log(
    JSON.stringify({
      outcomes: taken.results.map((result) => result.outcome),
      verdict: known.on_time.verdict,
      call: call.status,
    }),
  );
}

/** Gives the answer of a request, or stops with the problem that was answered instead. */
async function done<Answer>(
  request: Promise<{ data?: Answer; error?: unknown }>,
): Promise<Answer> {
  const { data, error } = await request;
  if (data === undefined) {
    throw new Error(JSON.stringify(error));
  }
  return data;
}

const [baseUrl, key, store] = process.argv.slice(2);
if (baseUrl === undefined || key === undefined || store === undefined) {
  throw new Error("Usage: node build/rehearse.js BASE_URL KEY STORE");
}
await main(baseUrl, key, store);
