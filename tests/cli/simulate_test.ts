import assert from "node:assert/strict";
import { startSimulateCommand } from "../support/simulator.ts";

Deno.test("kvmark simulate answers at the URL of its ready line until it is stopped", async () => {
  let url: string;
  {
    await using simulator = await startSimulateCommand();
    url = simulator.url;
    const response = await fetch(`${url}/v1/models`);
    assert.equal(response.status, 200);
    const { data } = await response.json();
    assert.equal(typeof data[0].id, "string");
  }
  await assert.rejects(fetch(`${url}/v1/models`), TypeError);
});
