/**
 * Texts of users and servers.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { errorMessage, oneLine } from "../../lib/client/failures.ts";
import { redactorOf } from "../../lib/redaction.ts";
import { normaliseEndpoint } from "../../lib/client/openai.ts";
import { parseBytes, parseDurationMs, parseTokens } from "../../lib/units.ts";
import { onlyKvmarkErrors, target } from "./target.ts";

const secret = fc.stringMatching(/^[A-Za-z0-9_-]{8,60}$/);

/** Targets. */
export const TEXTS = [
  target(
    "errors: a key that a server repeats is struck out",
    fc.tuple(secret, fc.string({ maxLength: 290 }), fc.string(), fc.boolean()),
    ([key, before, after, asObject]) => {
      const said = `${before}${key}${after}`;
      const message = asObject ? errorMessage({ error: { message: said } }) : oneLine(said);
      const shown = redactorOf({ authorization: `Bearer ${key}` })(message ?? "");
      assert.ok(!shown.includes(key), shown);
    },
  ),
  target("endpoints: any text", fc.oneof(fc.webUrl(), fc.string()), async (text) => {
    const found = await onlyKvmarkErrors(["usage"], () => normaliseEndpoint(text));
    if (found === undefined) return;
    const url = new URL(found);
    assert.equal(url.username + url.password + url.search + url.hash, "");
    assert.equal(normaliseEndpoint(found), found, "normalised twice");
  }),
  target(
    "units: any text",
    fc.oneof(fc.string(), fc.stringMatching(/^\d+(\.\d+)?\s*[a-zA-Z]*$/)),
    (text) => {
      for (const parse of [parseTokens, parseBytes, parseDurationMs]) {
        try {
          assert.ok(Number.isFinite(parse(text)));
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
        }
      }
    },
  ),
];
