/**
 * What the documentation checks need to know about a Markdown page.
 *
 * @module
 */

/** A fenced block of code. */
export interface FencedBlock {
  /** Line of the opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
  /** Text of an HTML comment before the fence (an empty line may stand between): `run`. */
  readonly marker?: string;
}

/** A link or a code span. */
export interface Mention {
  readonly line: number;
  readonly target: string;
}

/** The fenced blocks of a page, in order. */
export function fencedBlocks(page: string): FencedBlock[] {
  const blocks: FencedBlock[] = [];
  const lines = page.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const open = /^\s*(`{3,}|~{3,})\s*(\S*)/.exec(lines[at] ?? "");
    if (open === null) continue;
    const close = lines.findIndex((text, n) => n > at && text.trim() === open[1]);
    const end = close < 0 ? lines.length : close;
    const before = lines[at - 1]?.trim() === "" ? lines[at - 2] : lines[at - 1];
    const marker = /^\s*<!--\s*(.*?)\s*-->\s*$/.exec(before ?? "")?.[1];
    blocks.push({
      line: at + 1,
      language: open[2] ?? "",
      code: lines.slice(at + 1, end).join("\n"),
      ...(marker === undefined ? {} : { marker }),
    });
    at = end;
  }
  return blocks;
}

/** The page with fenced blocks blanked, so that line numbers stay. */
function withoutBlocks(page: string): string[] {
  const lines = page.split("\n");
  for (const block of fencedBlocks(page)) {
    lines.fill("", block.line - 1, block.line + block.code.split("\n").length + 1);
  }
  return lines;
}

/** Targets of links and pictures, in Markdown and in HTML. */
export function links(page: string): Mention[] {
  return withoutBlocks(page).flatMap((text, n) => {
    const prose = text.replace(/`[^`]*`/g, "");
    const found = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)|\b(?:src|href|srcset)="([^"]+)"/g)];
    return found.map((match) => ({ line: n + 1, target: match[1] ?? match[2] ?? "" }));
  });
}

/** Texts between back ticks, outside of fenced blocks. */
export function codeSpans(page: string): Mention[] {
  return withoutBlocks(page).flatMap((text, n) =>
    [...text.matchAll(/`([^`]+)`/g)].map((match) => ({ line: n + 1, target: match[1] ?? "" }))
  );
}

/** Anchors of the headings, as code hosts make them. */
export function anchors(page: string): Set<string> {
  const seen = new Map<string, number>();
  const found = new Set<string>();
  for (const text of withoutBlocks(page)) {
    const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(text)?.[1];
    if (heading === undefined) continue;
    const slug = heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-");
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    found.add(count === 0 ? slug : `${slug}-${count}`);
  }
  return found;
}

/** A table cell: no line breaks, bars escaped. */
export function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ").trim();
}

/** A table. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
