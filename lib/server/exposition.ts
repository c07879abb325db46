/**
 * The Prometheus text format, read: samples with name, labels and value.
 *
 * The npm package for this format (parse-prometheus-text-format 1.1.1) drops the sums and counts
 * of labelled histograms, the last line of a text without a final line break, and whole texts that
 * have a space after a comma; engines send all three, so the format is read here.
 *
 * @module
 */

/** One line of an exposition. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** May be NaN or infinite, as the format allows. */
  readonly value: number;
}

/** An exposition, read. */
export interface Exposition {
  readonly samples: readonly Sample[];
  /** Types of the families that declare one: `counter`, `gauge`, `histogram`, … */
  readonly types: ReadonlyMap<string, string>;
  /** Lines that are not of the format. */
  readonly malformedLines: number;
  /** True if samples were left out because there were more than `maxSamples`. */
  readonly truncated: boolean;
}

const NAME = /[a-zA-Z_:][a-zA-Z0-9_:.-]*/y;
const LABEL = /[ \t]*([a-zA-Z_][a-zA-Z0-9_.-]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(,|(?=\}))/y;
const LABELS_END = /[ \t]*\}/y;
const VALUE = /[ \t]*([^ \t#]+)(?=[ \t]|$)/y;
const REST = /[ \t]*(?:-?[0-9.eE+-]+)?[ \t]*(?:#.*)?$/y;
const TYPE_LINE = /^#[ \t]+TYPE[ \t]+(\S+)[ \t]+(\S+)[ \t]*$/;
const DECIMAL = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?$/i;

/**
 * Reads Prometheus text or OpenMetrics text. Timestamps and exemplars are skipped; lines that are
 * not of the format are counted, not fatal, so that one odd family does not cost all counters.
 *
 * @param text The body of a metrics route.
 * @param maxSamples More samples than this are left out.
 */
export function parseExposition(text: string, maxSamples = 200_000): Exposition {
  const samples: Sample[] = [];
  const types = new Map<string, string>();
  let malformedLines = 0;
  let truncated = false;
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    if (line === "") continue;
    if (line.startsWith("#")) {
      const type = TYPE_LINE.exec(line);
      if (type?.[1] !== undefined && type[2] !== undefined) {
        types.set(type[1], type[2].toLowerCase());
      }
      continue;
    }
    const sample = parseSample(line);
    if (sample === undefined) malformedLines++;
    else if (samples.length >= maxSamples) truncated = true;
    else samples.push(sample);
  }
  return { samples, types, malformedLines, truncated };
}

function parseSample(line: string): Sample | undefined {
  const name = matchAt(NAME, line, 0);
  if (name === undefined) return undefined;
  let at = name.end;
  const labels: Record<string, string> = Object.create(null);
  while (line[at] === " " || line[at] === "\t") at++;
  if (line[at] === "{") {
    const end = parseLabels(line, at + 1, labels);
    if (end === undefined) return undefined;
    at = end;
  } else if (at === name.end) {
    return undefined;
  }
  const value = matchAt(VALUE, line, at);
  if (value?.groups[1] === undefined || matchAt(REST, line, value.end) === undefined) {
    return undefined;
  }
  const number = parseValue(value.groups[1]);
  return number === undefined ? undefined : { name: name.groups[0] ?? "", labels, value: number };
}

/** Reads labels into `into` and returns the index after the closing brace. */
function parseLabels(line: string, from: number, into: Record<string, string>): number | undefined {
  let at = from;
  for (let more = true; more;) {
    const end = matchAt(LABELS_END, line, at);
    if (end !== undefined) return end.end;
    const label = matchAt(LABEL, line, at);
    if (label?.groups[1] === undefined) return undefined;
    into[label.groups[1]] = unescapeLabel(label.groups[2] ?? "");
    at = label.end;
    more = label.groups[3] === ",";
  }
  return matchAt(LABELS_END, line, at)?.end;
}

function unescapeLabel(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replaceAll(/\\(.)/g, (whole, escaped) => {
    if (escaped === "n") return "\n";
    return escaped === "\\" || escaped === '"' ? escaped : whole;
  });
}

/** The format's numbers: Go's `ParseFloat` without hexadecimals and underscores. */
function parseValue(text: string): number | undefined {
  if (DECIMAL.test(text)) return Number(text);
  const special = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
  if (special === null) return undefined;
  if (special[2]?.toLowerCase() === "nan") return NaN;
  return special[1] === "-" ? -Infinity : Infinity;
}

function matchAt(
  pattern: RegExp,
  text: string,
  at: number,
): { groups: readonly (string | undefined)[]; end: number } | undefined {
  pattern.lastIndex = at;
  const match = pattern.exec(text);
  return match === null ? undefined : { groups: [...match], end: pattern.lastIndex };
}

/** True if `text` is an exposition: at least one sample, and more samples than other lines. */
export function looksLikeExposition(exposition: Exposition): boolean {
  return exposition.samples.length > exposition.malformedLines;
}
