/**
 * Values kept column by column: a million numbers are a few typed arrays, not a million objects.
 *
 * @module
 */

/** Values of a chunk; a column grows by chunks, so that nothing is copied. */
const CHUNK = 1 << 14;
/** Stands for an absent value among integers. */
const NONE = -(2 ** 31);
/** Distinct texts of a column beyond which each is kept by itself. */
const MOST_DISTINCT = 4096;

/** Numbers or nothing, by row. Whole numbers take 4 bytes, others 8. */
export class NumberColumn {
  readonly #chunks: (Int32Array | Float64Array | undefined)[] = [];

  /** Sets the value of a row that was not set before. */
  set(row: number, value: number | undefined): void {
    if (value === undefined) return;
    const at = Math.floor(row / CHUNK);
    let chunk = this.#chunks[at] ??= new Int32Array(CHUNK).fill(NONE);
    if (chunk instanceof Int32Array && !fitsInt(value)) {
      chunk = this.#chunks[at] = Float64Array.from(chunk, (one) => one === NONE ? NaN : one);
    }
    chunk[row % CHUNK] = value;
  }

  /** The value of a row; NaN comes back as absent. */
  get(row: number): number | undefined {
    const chunk = this.#chunks[Math.floor(row / CHUNK)];
    const value = chunk?.[row % CHUNK];
    const isNone = chunk instanceof Int32Array ? value === NONE : Number.isNaN(value);
    return isNone ? undefined : value;
  }
}

function fitsInt(value: number): boolean {
  return (value | 0) === value && value !== NONE && !Object.is(value, -0);
}

/** Anything of which few are different, or nothing, by row. */
export class CodeColumn<Value> {
  readonly #codes = new NumberColumn();
  readonly #values: Value[] = [];
  readonly #byKey = new Map<unknown, number>();

  /** @param key Two values with the same key are the same; the value itself if absent. */
  set(row: number, value: Value | undefined, key: unknown = value): void {
    if (value === undefined) return;
    let code = this.#byKey.get(key);
    if (code === undefined) {
      code = this.#values.push(value) - 1;
      // Where all are different, looking for the same one is only a cost.
      if (this.#byKey.size < MOST_DISTINCT) this.#byKey.set(key, code);
    }
    this.#codes.set(row, code);
  }

  get(row: number): Value | undefined {
    const code = this.#codes.get(row);
    return code === undefined ? undefined : this.#values[code];
  }
}

/** Lists of numbers, by row, one after the other in common arrays. */
export class ListColumn {
  readonly #starts = new NumberColumn();
  readonly #lengths = new NumberColumn();
  readonly #chunks: Float64Array[] = [];
  #end = CHUNK;

  set(row: number, list: Float64Array): void {
    if (list.length === 0) return;
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || this.#end + list.length > chunk.length) {
      chunk = new Float64Array(Math.max(CHUNK, list.length));
      this.#chunks.push(chunk);
      this.#end = 0;
    }
    chunk.set(list, this.#end);
    this.#starts.set(row, (this.#chunks.length - 1) * 2 ** 20 + this.#end);
    this.#lengths.set(row, list.length);
    this.#end += list.length;
  }

  /** A view of the list, not a copy; an empty one where none was set. */
  get(row: number): Float64Array {
    const [start, length] = [this.#starts.get(row), this.#lengths.get(row)];
    if (start === undefined || length === undefined) return new Float64Array();
    const at = start % 2 ** 20;
    return this.#chunks[Math.floor(start / 2 ** 20)]!.subarray(at, at + length);
  }
}
