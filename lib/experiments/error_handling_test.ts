import assert from "node:assert/strict";
import { cellProblem, DEFAULT_ERROR_HANDLING, runProblem } from "./error_handling.ts";

const STRICT = { ...DEFAULT_ERROR_HANDLING, minSuccessPercent: 90 };

Deno.test("cellProblem() finds a cell without a success, and one with too few", () => {
  assert.match(cellProblem(undefined, DEFAULT_ERROR_HANDLING) ?? "", /no request succeeded/);
  const some = { succeeded: 8, failed: 2 };
  assert.equal(cellProblem(some, DEFAULT_ERROR_HANDLING), undefined);
  assert.match(cellProblem(some, STRICT) ?? "", /8 of 10 .* less than --min-success 90/);
});

Deno.test("runProblem() counts the rows of all cells together", () => {
  const rows = [
    { total_requests: 95, failed_requests: 0 },
    { total_requests: 0, failed_requests: 5 },
    {},
  ];
  assert.equal(runProblem({ rows }, STRICT), undefined, "95 %");
  assert.match(runProblem({ rows: rows.slice(1) }, DEFAULT_ERROR_HANDLING) ?? "", /no request/);
  assert.match(
    runProblem({ rows: [{ total_requests: 89, failed_requests: 11 }] }, STRICT) ?? "",
    /89 of 100/,
  );
  assert.equal(runProblem({ rows: [] }, STRICT), undefined);
  assert.equal(runProblem({ rows: [{ total_requests: 0 }] }, STRICT), undefined);
});
