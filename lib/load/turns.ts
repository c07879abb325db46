/**
 * One launch a turn of the event loop.
 *
 * `fetch` only queues a request; its bytes leave when the turn is over. Of requests that are sent
 * in one turn, the first would wait for the code of the last, after it was stamped as sent: at 40
 * requests some ten milliseconds, which would count as the server's. With a turn of its own each
 * request leaves within the time of one, and the wait of the others is theirs from due to sent.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/** Hands out turns in the order of asking. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  readonly #onIdle: (() => void)[] = [];
  readonly #nextTurn: (callback: () => void) => void;
  #asked = false;

  /** @param nextTurn Calls back in the next turn, after what this one has queued was sent. */
  constructor(nextTurn: (callback: () => void) => void = setImmediate) {
    this.#nextTurn = nextTurn;
  }

  /** Runs `act` in a turn of its own. Not in this one, which may have more to do. */
  take(act: () => void): void {
    this.#waiting.push(act);
    this.#ask();
  }

  /** Calls back as soon as nobody waits. */
  whenIdle(callback: () => void): void {
    if (this.#asked) this.#onIdle.push(callback);
    else callback();
  }

  #ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#nextTurn(() => this.#pass());
  }

  #pass(): void {
    this.#asked = false;
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) this.#ask();
    else for (const callback of this.#onIdle.splice(0)) callback();
  }
}
