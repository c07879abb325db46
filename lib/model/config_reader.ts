/**
 * Reads numbers out of a config that anybody may have written: every value is checked, and the
 * first that is wrong is one clear error.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Most that a count may be, by what it counts. The sizes of real models are far below. */
export const MOST = { layers: 10_000, heads: 10_000, dim: 1_000_000, tokens: 1e12 } as const;

/** How deep a text model may be nested in a multimodal one. */
const MOST_NESTED = 4;
/** Where multimodal configs keep their text model. */
const TEXT_PARTS = [
  "text_config",
  "llm_config",
  "language_config",
  "thinker_config",
  "language_model",
] as const;

/** A JSON object, and nothing else. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The fields of one config. */
export class ConfigReader {
  /** What the values are read from, for messages: `config.json of x`. */
  readonly source: string;
  readonly #config: JsonObject;
  readonly #defaults: JsonObject;
  readonly #notes: string[];

  constructor(config: JsonObject, source: string, defaults: JsonObject = {}, notes: string[] = []) {
    this.#config = config;
    this.source = source;
    this.#defaults = defaults;
    this.#notes = notes;
  }

  /** Sentences about values that were not in the config. */
  get notes(): readonly string[] {
    return this.#notes;
  }

  /** Adds a sentence that a reader of the figures needs. */
  note(sentence: string): void {
    if (!this.#notes.includes(sentence)) this.#notes.push(sentence);
  }

  /** The same config with values for fields that it leaves out. */
  withDefaults(defaults: JsonObject): ConfigReader {
    return new ConfigReader(this.#config, this.source, defaults, this.#notes);
  }

  /** The value of a field as it stands; `undefined` for null, and where it is absent. */
  raw(name: string): unknown {
    if (Object.hasOwn(this.#config, name)) return this.#config[name] ?? undefined;
    if (!Object.hasOwn(this.#defaults, name)) return undefined;
    const value = this.#defaults[name];
    this.note(`${name} is not in the ${this.source}; ${JSON.stringify(value)} is its default`);
    return value;
  }

  /** A count in the first of these fields that is there. */
  optional(most: number, ...names: readonly string[]): number | undefined {
    for (const name of names) {
      const value = this.raw(name);
      if (value !== undefined) return this.#count(name, value, 1, most);
    }
    return undefined;
  }

  /** As {@linkcode optional}; it is an error if none is there. */
  required(most: number, ...names: readonly string[]): number {
    const value = this.optional(most, ...names);
    if (value !== undefined) return value;
    const [first = "", ...others] = names;
    const also = others.length === 0 ? "" : ` (nor ${others.join(", ")})`;
    throw this.problem(`${first} is missing${also}`);
  }

  /** A count that may be 0. */
  orZero(most: number, ...names: readonly string[]): number {
    for (const name of names) {
      const value = this.raw(name);
      if (value !== undefined) return this.#count(name, value, 0, most);
    }
    return 0;
  }

  /** True or false; `undefined` where it is absent. */
  flag(name: string): boolean | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === "boolean") return value;
    throw this.problem(`${name} is ${shown(value)}, not true or false`);
  }

  /** Words; `undefined` where it is absent. */
  word(name: string): string | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === "string") return value;
    throw this.problem(`${name} is ${shown(value)}, not a text`);
  }

  /** A list with at least `least` and at most {@linkcode MOST.layers} entries. */
  list(name: string, least = 0): readonly unknown[] | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) throw this.problem(`${name} is ${shown(value)}, not a list`);
    if (value.length < least || value.length > MOST.layers) {
      throw this.problem(`${name} has ${value.length} entries, not ${least} to ${MOST.layers}`);
    }
    return value;
  }

  /** A list of counts that may be 0. */
  counts(most: number, name: string, least = 0): readonly number[] | undefined {
    return this.list(name, least)?.map((value, i) => this.#count(`${name}[${i}]`, value, 0, most));
  }

  /** The fields of an object in a field. */
  object(name: string): ConfigReader | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (!isObject(value)) throw this.problem(`${name} is ${shown(value)}, not an object`);
    return new ConfigReader(value, `${name} in the ${this.source}`, {}, this.#notes);
  }

  /** The text model of a multimodal config; the config itself where there is none. */
  textModel(depth = 0): { readonly reader: ConfigReader; readonly outerType?: string } {
    const name = TEXT_PARTS.find((part) => isObject(this.raw(part)));
    if (name === undefined) return { reader: this };
    if (depth >= MOST_NESTED) {
      throw this.problem(`the text model is nested more than ${MOST_NESTED} deep`);
    }
    const value = this.raw(name) as JsonObject;
    const inner = new ConfigReader(value, this.source, {}, this.#notes).textModel(depth + 1);
    const outerType = inner.outerType ?? this.word("model_type");
    return { reader: inner.reader, ...(outerType === undefined ? {} : { outerType }) };
  }

  /** An error about this config. */
  problem(what: string): KvmarkError {
    return new KvmarkError("usage", `The ${this.source} cannot be used: ${what}`, {
      hint: "check the file, or give that of the original model",
    });
  }

  #count(name: string, value: unknown, least: number, most: number): number {
    if (Number.isInteger(value) && Number(value) >= least && Number(value) <= most) {
      return Number(value);
    }
    const range = `a whole number from ${least} to ${most.toLocaleString("en-US")}`;
    throw this.problem(`${name} is ${shown(value)}, not ${range}`);
  }
}

/** A value as a message can show it. */
function shown(value: unknown): string {
  if (typeof value === "string") {
    return `the text ${JSON.stringify(value.length > 40 ? `${value.slice(0, 39)}…` : value)}`;
  }
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return value === null ? "null" : "an object";
  return String(value);
}
