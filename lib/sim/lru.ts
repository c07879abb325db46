/**
 * A map that knows its oldest entry. A plain `Map` also keeps the order, but finding its first
 * entry after many deletions at the front walks over all of them.
 *
 * @module
 */

interface Node<Value> {
  readonly key: number;
  value: Value;
  older: Node<Value> | undefined;
  newer: Node<Value> | undefined;
}

/** Entries in order of their last `set`, all operations in constant time. */
export class LruMap<Value> {
  readonly #nodes = new Map<number, Node<Value>>();
  #oldest: Node<Value> | undefined;
  #newest: Node<Value> | undefined;

  get size(): number {
    return this.#nodes.size;
  }

  has(key: number): boolean {
    return this.#nodes.has(key);
  }

  get(key: number): Value | undefined {
    return this.#nodes.get(key)?.value;
  }

  /** Adds an entry, or moves it, as the newest one. */
  set(key: number, value: Value): void {
    this.delete(key);
    const node: Node<Value> = { key, value, older: this.#newest, newer: undefined };
    if (this.#newest === undefined) this.#oldest = node;
    else this.#newest.newer = node;
    this.#newest = node;
    this.#nodes.set(key, node);
  }

  /** Removes an entry; false if it was not there. */
  delete(key: number): boolean {
    const node = this.#nodes.get(key);
    if (node === undefined) return false;
    if (node.older === undefined) this.#oldest = node.newer;
    else node.older.newer = node.newer;
    if (node.newer === undefined) this.#newest = node.older;
    else node.newer.older = node.older;
    return this.#nodes.delete(key);
  }

  /** Key of the oldest entry. */
  oldest(): number | undefined {
    return this.#oldest?.key;
  }

  clear(): void {
    this.#nodes.clear();
    this.#oldest = this.#newest = undefined;
  }
}
