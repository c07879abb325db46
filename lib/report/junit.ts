/**
 * What became of limits, as JUnit XML: one test case for each limit and point.
 *
 * @module
 */

import { outcomeText, type ThresholdOutcome } from "../metrics/thresholds.ts";

/**
 * The XML of a suite called `suite`. A limit that was crossed is a failure, one that cannot be
 * checked an error; one that is crossed within noise passes, and says so.
 *
 * @param problem What is wrong with the run itself: a failed test case of its own.
 */
export function junitXml(
  suite: string,
  outcomes: readonly ThresholdOutcome[],
  problem?: { readonly kind: string; readonly message: string },
): string {
  const count = (state: string) => outcomes.filter((one) => one.state === state).length;
  const own = problem === undefined ? 0 : 1;
  const counts = `tests="${outcomes.length + own}" failures="${count("crossed") + own}" ` +
    `errors="${count("unknown")}"`;
  const name = xmlText(suite);
  return [
    `<?xml version="1.0" encoding="UTF-8"?>`,
    `<testsuites name="${name}" ${counts}>`,
    `  <testsuite name="${name}" ${counts} skipped="0">`,
    ...(problem === undefined ? [] : [runCase(problem)]),
    ...outcomes.map(testCase),
    `  </testsuite>`,
    `</testsuites>`,
    "",
  ].join("\n");
}

function runCase({ kind, message }: { readonly kind: string; readonly message: string }): string {
  const failure = `<failure message="${xmlText(message)}" type="${xmlText(kind)}"/>`;
  return `    <testcase classname="run" name="the run itself">${failure}</testcase>`;
}

function testCase(outcome: ThresholdOutcome): string {
  const text = xmlText(outcomeText(outcome));
  const body = {
    crossed: `<failure message="${text}" type="threshold"/>`,
    unknown: `<error message="${text}" type="unknown"/>`,
    unsure: `<system-out>${text}</system-out>`,
    kept: `<system-out>${text}</system-out>`,
  }[outcome.state];
  const name = xmlText(outcome.where);
  const group = xmlText(outcome.threshold.text);
  return `    <testcase classname="${group}" name="${name}">${body}</testcase>`;
}

/** Text for an element or an attribute; what XML 1.0 cannot hold becomes a replacement character. */
export function xmlText(text: string): string {
  return text.toWellFormed()
    // deno-lint-ignore no-control-regex -- these are what XML cannot hold
    .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
    .replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;").replaceAll("'", "&apos;")
    .replaceAll("\t", "&#9;").replaceAll("\n", "&#10;").replaceAll("\r", "&#13;");
}
