/**
 * Remarks about cells: one line a kind, with the cells that it is about behind it.
 *
 * @module
 */

/** A sentence, and the cells that it speaks of, where they are not in it. */
export interface Remark {
  readonly text: string;
  readonly cells: readonly string[];
}

/** `8000_50: …`, `8000_500000_96 RETRY_2 …`: a line about one cell begins with its name. */
const OF_CELL = /^(\d+(?:_\d+)+(?:@\w+)?)\b[\s:]*(.*)$/s;

/**
 * Puts lines that say the same of several cells into one. What differs between them (the figures)
 * stays with each cell.
 */
export function foldedByCell(lines: readonly string[]): Remark[] {
  const kinds = Map.groupBy(lines, (line) => {
    const said = OF_CELL.exec(line)?.[2];
    if (said === undefined) return line;
    // What stands before a colon, without figures and names in capitals, is the kind of the remark.
    const kind = /^(.{12,}?): /.exec(said)?.[1] ?? said;
    return `cell ${kind.replaceAll(/[\d.,]+|[A-Z_]{3,}\w*/g, "#")}`;
  });
  return [...kinds.values()].map((group): Remark => {
    const [first = ""] = group;
    if (group.length === 1) return { text: first, cells: [] };
    const said = group.map((line) => OF_CELL.exec(line)?.[2] ?? line);
    return { text: `${group.length} cells: ${commonStart(said)}`, cells: group };
  });
}

/** The words that all texts begin with; the whole text where they are the same. */
function commonStart(texts: readonly string[]): string {
  const [first = ""] = texts;
  if (texts.every((text) => text === first)) return first;
  const words = first.split(" ");
  let count = 0;
  while (texts.every((text) => text.split(" ")[count] === words[count])) count++;
  const start = words.slice(0, count).join(" ").replace(/[\s:;,(]+$/, "");
  return start === "" ? first : `${start} …`;
}
