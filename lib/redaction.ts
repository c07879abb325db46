/**
 * Keeps keys out of text: the values of the headers that are sent, however a server spells them when
 * it repeats them.
 *
 * Each character may stand as itself, JSON-escaped, percent-encoded (twice as well) or as an HTML
 * entity; and the whole may be in Base64 of either alphabet, alone or inside a longer one, such as
 * that of `user:key`.
 *
 * @module
 */

/** Gives text back without the keys. */
export type Redactor = (text: string) => string;

/** Shorter values are no keys: they would be found in every text. */
const LEAST_CHARACTERS = 4;
/** Of a longer secret each piece of this length is one: a pattern has to be compiled. */
const PIECE_CHARACTERS = 64;
/** Headers that hold no key. */
const PLAIN_HEADER =
  /^(?:accept|accept-language|accept-encoding|content-type|user-agent|connection)$/i;
const SCHEME = /^(?:bearer|basic|digest|key|token|apikey|negotiate)$/i;
const MARK = "***";
const BASE64_CHARACTER = /[A-Za-z0-9+/_=-]/;

const made = new WeakMap<Readonly<Record<string, string>>, Redactor>();

/**
 * The redactor of a set of headers. It is compiled once for each object.
 *
 * @example
 * ```ts
 * import { redactorOf } from "./redaction.ts";
 * const redact = redactorOf({ authorization: "Bearer sk/12345" });
 * console.log(redact('{"key": "sk%2F12345"}')); // {"key": "***"}
 * ```
 */
export function redactorOf(headers: Readonly<Record<string, string>>): Redactor {
  const found = made.get(headers);
  if (found !== undefined) return found;
  const secrets = secretsIn(headers).flatMap(pieces).map((piece) => new Secret(piece));
  const redact: Redactor = (text) => {
    let clean = text.replace(/\/\/[^/\s@]+@/g, `//${MARK}@`);
    for (const secret of secrets) clean = secret.strikeOut(clean);
    return clean.includes(MARK) ? clean.replace(/\*\*\*(?:\*\*\*)+/g, MARK) : clean;
  };
  made.set(headers, redact);
  return redact;
}

/** Applies a function to every string in a value of plain objects and lists. */
export function mapStrings<T>(value: T, change: (text: string) => string): T {
  if (typeof value === "string") return change(value) as T;
  if (Array.isArray(value)) return value.map((one) => mapStrings(one, change)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, mapStrings(one, change)]),
  ) as T;
}

/** The values, and what stands behind a scheme or in a Basic pair; the longest first. */
function secretsIn(headers: Readonly<Record<string, string>>): string[] {
  const found = new Set<string>();
  for (const [name, value] of Object.entries(headers)) {
    if (PLAIN_HEADER.test(name)) continue;
    const words = value.split(/\s+/).filter((word) => !SCHEME.test(word));
    const pairs = /^basic\s/i.test(value) ? words.flatMap(decodedPair) : [];
    for (const secret of [value, ...words, ...pairs]) {
      if (secret.length >= LEAST_CHARACTERS) found.add(secret);
    }
  }
  return [...found].sort((a, b) => b.length - a.length);
}

function decodedPair(word: string): string[] {
  try {
    const pair = atob(word);
    return [pair, pair.slice(pair.indexOf(":") + 1)];
  } catch {
    return [];
  }
}

function pieces(secret: string): string[] {
  const characters = [...secret];
  const count = Math.max(1, Math.floor(characters.length / PIECE_CHARACTERS));
  // The last piece takes the rest: a short one would be found in other text.
  return Array.from({ length: count }, (_, n) => {
    const to = n === count - 1 ? characters.length : (n + 1) * PIECE_CHARACTERS;
    return characters.slice(n * PIECE_CHARACTERS, to).join("");
  });
}

/** One secret, and everything that it can look like. */
class Secret {
  readonly #spelled: RegExp;
  readonly #cut: RegExp;
  readonly #encoded: RegExp;

  constructor(secret: string) {
    const characters = [...secret].map(spellings);
    this.#spelled = new RegExp(characters.join(""), "gi");
    // A text that was cut may end in the middle of it.
    this.#cut = new RegExp(`${beginnings(characters, LEAST_CHARACTERS)}(?=…$)`, "i");
    this.#encoded = new RegExp(base64Cores(secret).join("|"), "g");
  }

  strikeOut(text: string): string {
    return withoutBase64(text.replace(this.#spelled, MARK), this.#encoded)
      .replace(this.#cut, MARK);
  }
}

/** Ways to write one character; the pattern is used without regard to case. */
function spellings(character: string): string {
  const bytes = [...new TextEncoder().encode(character)];
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
  const escaped = Array.from(
    { length: character.length },
    (_, at) => `\\\\+u${hex(character.charCodeAt(at), 4)}`,
  ).join("");
  const code = character.codePointAt(0)!;
  const short = { "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t" }[character] ?? character;
  const named = { "&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos" }[character];
  // The longer ones first: a "%" may be the begin of its own code.
  const ways = [
    ...(/[^\w\s]/.test(character) || short !== character ? [`\\\\+${literal(short)}`] : []),
    escaped,
    bytes.map((byte) => `%(?:25)*${hex(byte, 2)}`).join(""),
    `&(?:amp;)*#(?:0*${code}|x0*${hex(code, 1)});?`,
    ...(named === undefined ? [] : [`&(?:amp;)*${named};`]),
    ...(character === " " ? ["\\+"] : []),
    literal(character),
  ];
  return `(?:${ways.join("|")})`;
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}

/** Matches a sequence from its begin as far as it goes, at least `least` long. */
function beginnings(parts: readonly string[], least: number): string {
  const rest = parts.slice(least).reduceRight((inner, part) => `(?:${part}${inner})?`, "");
  return parts.slice(0, least).join("") + rest;
}

/**
 * The Base64 characters that the secret decides alone, for each place that it may begin at among
 * the groups of three bytes.
 */
function base64Cores(secret: string): string[] {
  const bytes = new TextEncoder().encode(secret);
  return [0, 1, 2].map((before) => {
    const padded = new Uint8Array(before + bytes.length);
    padded.set(bytes, before);
    const text = btoa(String.fromCharCode(...padded));
    const first = Math.ceil(before * 8 / 6);
    const core = text.slice(first, Math.floor((before + bytes.length) * 8 / 6));
    return [...core].map(base64Spellings).join("(?:\\s|\\\\[rn])*");
  }).filter((core) => core !== "");
}

function base64Spellings(character: string): string {
  if (character === "+") return "(?:\\+|-|%2[Bb]|&#43;|\\\\u002[Bb])";
  if (character === "/") return "(?:\\/|\\\\\\/|_|%2[Ff]|&#47;|&#x2[Ff];)";
  return character;
}

/** Strikes out the whole run around a core: its edges hold bits of the secret. */
function withoutBase64(text: string, core: RegExp): string {
  let clean = "";
  let at = 0;
  for (const match of text.matchAll(core)) {
    if (match.index < at) continue;
    let [from, to] = [match.index, match.index + match[0].length];
    while (from > at && BASE64_CHARACTER.test(text[from - 1]!)) from--;
    while (to < text.length && BASE64_CHARACTER.test(text[to]!)) to++;
    clean += text.slice(at, from) + MARK;
    at = to;
  }
  return clean + text.slice(at);
}
