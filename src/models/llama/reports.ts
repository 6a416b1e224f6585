/**
 * Events of runs on their way to the main thread: many to a message when they come fast, the first and the last of a run at once.
 * Pieces of text that wait together are joined, since each object that crosses costs both threads more than a step of a small model.
 */
import { packError, type FromEngine, type RunReport } from './protocol.ts';

/** Events are held back at most this long. Milliseconds. */
const holdMs = 24;

interface Collected {
  run: number;
  events: unknown[];
  end?: true;
  error?: RunReport['error'];
}

/** Collects events and sends them. */
export class Reports {
  readonly #send: (message: FromEngine) => void;
  readonly #now: () => number;
  #collected = new Map<number, Collected>();
  readonly #begun = new Set<number>();
  #sentAt = 0;
  #urgent = false;

  constructor(send: (message: FromEngine) => void, now: () => number) {
    this.#send = send;
    this.#now = now;
  }

  /** Adds an event of a run. */
  event(run: number, event: unknown): void {
    const { events } = this.#of(run);
    const last = events[events.length - 1];
    if (isPlainText(event) && isPlainText(last)) events[events.length - 1] = { type: 'text', delta: last.delta + event.delta };
    else events.push(event);
    if (this.#begun.has(run)) return;
    this.#begun.add(run);
    this.#urgent = true;
  }

  /** Ends a run. */
  end(run: number, error?: unknown): void {
    const collected = this.#of(run);
    collected.end = true;
    if (error !== undefined) collected.error = packError(error) as NonNullable<RunReport['error']>;
    this.#begun.delete(run);
    this.#urgent = true;
  }

  /** Sends what is due. */
  flush(all: boolean): void {
    if (this.#collected.size === 0) return;
    const now = this.#now();
    if (!all && !this.#urgent && now - this.#sentAt < holdMs) return;
    this.#sentAt = now;
    this.#urgent = false;
    this.#send({ type: 'reports', reports: [...this.#collected.values()] as RunReport[] });
    this.#collected = new Map();
  }

  #of(run: number): Collected {
    let collected = this.#collected.get(run);
    if (collected === undefined) this.#collected.set(run, (collected = { run, events: [] }));
    return collected;
  }
}

function isPlainText(event: unknown): event is { readonly type: 'text'; readonly delta: string } {
  const { type, delta, tokens } = (event ?? {}) as { type?: unknown; delta?: unknown; tokens?: unknown };
  return type === 'text' && typeof delta === 'string' && tokens === undefined;
}
