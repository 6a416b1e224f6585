/**
 * Events of runs on their way to the main thread: many to a message when they come fast, the first and the last of a run at once.
 * Pieces of text that wait together are joined, since each object that crosses costs both threads more than a step of a small model.
 */
import { GrowingText } from '../../decoding/growing-text.ts';
import { packError, type FromEngine, type RunReport } from './protocol.ts';

/** Events are held back about this long, since a message costs the engine a tenth of a millisecond. Milliseconds. */
const holdMs = 24;
/** And this long when batches are short and nothing urgent has come since the last message. Milliseconds. */
const holdLongMs = 48;
/** Batches are short below this. Milliseconds. */
const shortMs = 10;
/** While batches are short, the clock is read about this often and not after each turn. Milliseconds. */
const lookMs = 24;
/** Turns between two looks at most, so that one that takes long all at once delays little. */
const turnsApartMax = 4;

interface Collected {
  readonly run: number;
  readonly events: unknown[];
  /** Text after the events. */
  text: string;
  end: boolean;
  error: RunReport['error'];
}

/** Collects events and sends them. */
export class Reports {
  readonly #send: (message: FromEngine) => void;
  readonly #now: () => number;
  readonly #collected = new Map<number, Collected>();
  readonly #begun = new Set<number>();
  #urgent = false;
  #sentAt = 0;
  #holdMs = holdMs;
  #lookedAt = 0;
  /** Batches since then. */
  #batches = 0;
  #turnsApart = 1;
  #turnsLeft = 1;

  constructor(send: (message: FromEngine) => void, now: () => number) {
    this.#send = send;
    this.#now = now;
  }

  /** Whether something waits that is to go at once. */
  get urgent(): boolean {
    return this.#urgent;
  }

  /** Adds an event of a run. */
  event(run: number, event: unknown): void {
    const collected = this.#of(run);
    if (isPlainText(event)) collected.text += event.delta;
    else {
      endText(collected);
      collected.events.push(event);
    }
    if (this.#begun.has(run)) return;
    this.#begun.add(run);
    this.#urgent = true;
  }

  /** Ends a run. */
  end(run: number, error?: unknown): void {
    const collected = this.#of(run);
    collected.end = true;
    if (error !== undefined) collected.error = packError(error);
    this.#begun.delete(run);
    this.#urgent = true;
  }

  /** Sends what is due; called after each turn. @param batches that were computed in it */
  flush(all: boolean, batches = 1): void {
    this.#batches += batches;
    if (this.#collected.size === 0) return;
    if (!all && !this.#urgent && !this.#isDue()) return;
    if (all || this.#urgent) {
      this.#sentAt = this.#now();
      this.#holdMs = holdMs;
    }
    this.#urgent = false;
    const reports: RunReport[] = [];
    for (const collected of this.#collected.values()) {
      endText(collected);
      const { run, events, end, error } = collected;
      reports.push({ run, events: events.flatMap(crossing), end, error });
    }
    this.#send({ type: 'reports', reports });
    this.#collected.clear();
  }

  #isDue(): boolean {
    if (--this.#turnsLeft > 0) return false;
    const now = this.#now();
    const passedMs = now - this.#lookedAt;
    const short = passedMs < shortMs * this.#batches;
    this.#turnsApart = this.#turnsLeft = short ? Math.max(1, Math.min(turnsApartMax, Math.floor((lookMs * this.#turnsApart) / passedMs))) : 1;
    this.#lookedAt = now;
    this.#batches = 0;
    if (now - this.#sentAt < this.#holdMs) return false;
    this.#sentAt = now;
    this.#holdMs = short ? holdLongMs : holdMs;
    return true;
  }

  #of(run: number): Collected {
    let collected = this.#collected.get(run);
    if (collected === undefined) this.#collected.set(run, (collected = { run, events: [], text: '', end: false, error: undefined }));
    return collected;
  }
}

/** Makes the text that waits an event. */
function endText(collected: Collected): void {
  if (collected.text === '') return;
  collected.events.push({ type: 'text', delta: collected.text });
  collected.text = '';
}

/** What crosses threads in place of an event: nothing for text that is still in the middle of a character. */
function crossing(event: unknown): readonly unknown[] {
  if (!(event instanceof GrowingText)) return [event];
  return event.delta === '' ? [] : [{ type: 'text', delta: event.delta }];
}

function isPlainText(event: unknown): event is { readonly type: 'text'; readonly delta: string } {
  if (event instanceof GrowingText) return false; // looking at its text would end its growth
  const { type, delta, tokens } = (event ?? {}) as { type?: unknown; delta?: unknown; tokens?: unknown };
  return type === 'text' && typeof delta === 'string' && tokens === undefined;
}
