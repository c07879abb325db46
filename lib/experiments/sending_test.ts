import assert from "node:assert/strict";
import { connectUrl } from "./sending.ts";

Deno.test("connectUrl() is a route of the API, never the page at the base URL", () => {
  const baseUrl = "http://host:8000/v0";
  assert.equal(connectUrl({ baseUrl, models: ["m"] }), "http://host:8000/v0/v1/models");
  assert.equal(connectUrl({ baseUrl, models: [] }), "http://host:8000/v0/health");
});
