/**
 * The report of `kvmark kv-size` as text for a terminal.
 *
 * @module
 */

import { formatBytes, formatCount } from "../units.ts";
import type { KvSizeReport } from "./kv_size_report.ts";
import { KV_ENGINE_TITLES } from "./precision.ts";

/** The report, line by line. */
export function kvSizeText(report: KvSizeReport): string {
  const sections = [
    pairs(modelLines(report)),
    pairs(tokenLines(report)),
    partLines(report),
    lengthLines(report),
    tierLines(report),
    report.notes.map((note) => `note: ${note}`),
  ];
  const filled = sections.filter((lines) => lines.length > 0);
  return `${filled.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

type Line = readonly [name: string, value: string];

function pairs(lines: readonly Line[]): string[] {
  return lines.map(([name, value]) => `${name.padEnd(17)}${value}`);
}

function modelLines(report: KvSizeReport): Line[] {
  const { engine, tp, batch_size: batch, max_context_tokens: most } = report;
  const assumed = report.assumed ? ", not known: assumed" : "";
  return [
    ["model", `${report.model} (${report.model_type}${assumed})`],
    ["source", report.source],
    ["attention", report.attention],
    ["heads", headsText(report)],
    ["layers", formatCount(report.layers)],
    ...(most === undefined ? [] : [["context limit", `${formatCount(most)} tokens`] as const]),
    ["precision", `${report.precision} (${report.precision_format})`],
    ["engine", engine === null ? "none: what has to be kept" : KV_ENGINE_TITLES[engine]],
    ...(tp === 1 ? [] : [["GPUs", `${tp}, tensor parallel`] as const]),
    ...(batch === 1 ? [] : [["batch size", formatCount(batch)] as const]),
  ];
}

function headsText(report: KvSizeReport): string {
  const { attention_heads: heads, kv_heads: kvHeads, head_dim: dim } = report;
  const ratio = heads !== undefined && kvHeads !== undefined && kvHeads < heads
    ? `, ${Number((heads / kvHeads).toFixed(1))}:1`
    : "";
  return [
    `${formatCount(heads)} attention`,
    ...(kvHeads === undefined ? [] : [`${formatCount(kvHeads)} KV${ratio}`]),
    ...(dim === undefined ? [] : [`${formatCount(dim)} elements each`]),
  ].join(", ");
}

function tokenLines(report: KvSizeReport): Line[] {
  const { bytes_per_token: bytes, bytes_per_token_by_precision: byPrecision } = report;
  const others = Object.entries(byPrecision)
    .filter(([precision]) => precision !== report.precision)
    .map(([precision, value]) => `${precision} ${formatCount(value)}`);
  const more: (Line | false)[] = [
    ["bytes per token", exact(bytes)],
    ["", others.join(", ")],
    report.tp > 1 && ["  on one GPU", exact(report.bytes_per_token_per_gpu)],
    report.bytes_per_token_beyond_windows !== bytes &&
    ["  past windows", exact(report.bytes_per_token_beyond_windows)],
    report.mtp_bytes_per_token > 0 && [
      "  with MTP",
      `${exact(report.mtp_bytes_per_token)} more (--mtp)`,
    ],
    report.bytes_per_encoder_token > 0 &&
    ["encoder token", exact(report.bytes_per_encoder_token)],
    report.bytes_per_sequence > 0 && ["per sequence", exact(report.bytes_per_sequence)],
  ];
  return more.filter((line) => line !== false);
}

function exact(bytes: number): string {
  const count = Number.isInteger(bytes) ? formatCount(bytes) : bytes.toLocaleString("en-US");
  return bytes < 1024 ? `${count} B` : `${count} B (${formatBytes(bytes)})`;
}

function partLines({ parts }: KvSizeReport): string[] {
  if (parts.length < 2) return [];
  return table([
    ["kept by", "layers", "bytes per token", "most tokens"],
    ...parts.map((part) => [
      part.label,
      part.padding_layers === 0
        ? formatCount(part.layers)
        : `${formatCount(part.layers)} + ${formatCount(part.padding_layers)} padding`,
      formatCount(part.bytes_per_token),
      part.window_tokens === undefined ? "all" : formatCount(part.window_tokens),
    ]),
  ]);
}

function lengthLines({ lengths, tp }: KvSizeReport): string[] {
  return table([
    ["tokens", "KV cache", ...(tp > 1 ? ["on one GPU"] : []), "next token adds"],
    ...lengths.map((one) => [
      formatCount(one.tokens),
      formatBytes(one.bytes),
      ...(tp > 1 ? [formatBytes(one.bytes_per_gpu)] : []),
      `${formatCount(one.slope_bytes_per_token)} B`,
    ]),
  ]);
}

function tierLines({ tiers, tp }: KvSizeReport): string[] {
  if (tiers.length === 0) return [];
  const [first] = tiers;
  return table([
    ["tier", "for KV", "tokens", ...first!.sessions.map((one) => `× ${formatCount(one.tokens)}`)],
    ...tiers.map((one) => [
      tp > 1 && one.tier === "HBM" ? "HBM, a GPU" : one.tier,
      formatBytes(one.bytes),
      one.tokens === undefined ? "any" : formatCount(one.tokens),
      ...one.sessions.map(({ sessions }) => formatCount(sessions)),
    ]),
  ]);
}

/** Columns that line up: the first to the left, numbers to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))
      .join("  ")
  );
}
