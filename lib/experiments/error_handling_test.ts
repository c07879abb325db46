import assert from "node:assert/strict";
import {
  cellProblem,
  DEFAULT_ERROR_HANDLING,
  failureWarning,
  runProblem,
} from "./error_handling.ts";

const STRICT = { ...DEFAULT_ERROR_HANDLING, minSuccessPercent: 90 };
const LAX = { ...DEFAULT_ERROR_HANDLING, minSuccessPercent: 0 };

Deno.test("cellProblem() finds a cell without a success, and one with too few", () => {
  assert.match(cellProblem(undefined, DEFAULT_ERROR_HANDLING) ?? "", /no request succeeded/);
  const some = { succeeded: 8, failed: 2 };
  assert.equal(cellProblem(some, LAX), undefined);
  assert.match(cellProblem(some, DEFAULT_ERROR_HANDLING) ?? "", /less than --min-success 90/);
  assert.match(cellProblem(some, STRICT) ?? "", /8 of 10 .* less than --min-success 90/);
});

Deno.test("runProblem() counts the rows of all cells together", () => {
  const rows = [
    { total_requests: 95, failed_requests: 0 },
    { total_requests: 0, failed_requests: 5 },
    {},
  ];
  assert.equal(runProblem({ rows }, LAX), undefined, "95 % of all");
  assert.match(
    runProblem({ rows }, STRICT) ?? "",
    /in 1 of 3 cells too few requests succeeded: no request succeeded/,
    "an empty cell is not made up for",
  );
  const third = [{ total_requests: 70, failed_requests: 30 }];
  assert.match(runProblem({ rows: third }, DEFAULT_ERROR_HANDLING) ?? "", /70 of 100/);
  assert.match(runProblem({ rows: rows.slice(1) }, DEFAULT_ERROR_HANDLING) ?? "", /no request/);
  assert.match(
    runProblem({ rows: [{ total_requests: 89, failed_requests: 11 }] }, STRICT) ?? "",
    /89 of 100/,
  );
  assert.equal(runProblem({ rows: [] }, STRICT), undefined);
  assert.equal(runProblem({ rows: [{ total_requests: 0 }] }, STRICT), undefined);
});

Deno.test("failureWarning() is about more than one request in a hundred", () => {
  assert.equal(failureWarning(undefined), undefined);
  assert.equal(failureWarning({ succeeded: 990, failed: 10 }), undefined);
  assert.match(failureWarning({ succeeded: 985, failed: 15 }) ?? "", /15 of 1000 .*\(1.5 %\)/);
});
