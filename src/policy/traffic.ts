/**
 * The traffic of all replicas, kept over restarts: every replica adds what it served to the log of hours, and learns its profile
 * from the whole log, anew whenever an hour is over.
 */
import { hourMs, TrafficProfile, type TrafficLog } from './pacing.ts';

/** Time after the turn of an hour in which other replicas may still add to it, in milliseconds. */
const lateMs = 15_000;

/** Counts requests and foresees them. */
export class Traffic {
  /** What is foreseen. */
  readonly profile = new TrafficProfile();
  readonly #log: TrafficLog | undefined;
  readonly #keptMs: number;
  /** Requests that the log does not hold yet. */
  #counts = new Map<number, number>();
  #learnedHour = -1;

  /** @param log where hours are kept; undefined: in this process alone @param keptMs age of the hours that teach, in milliseconds */
  constructor(log: TrafficLog | undefined, keptMs: number) {
    this.#log = log;
    this.#keptMs = keptMs;
  }

  /** A request came. @param wallMs milliseconds since 1970 */
  note(wallMs: number): void {
    this.profile.note(wallMs);
    if (this.#log === undefined) return;
    const hour = Math.floor(wallMs / hourMs) * hourMs;
    this.#counts.set(hour, (this.#counts.get(hour) ?? 0) + 1);
  }

  /** Writes what was counted, and learns from all replicas once an hour. @throws {TandemError} store_failed */
  async sync(nowMs: number): Promise<void> {
    if (this.#log === undefined) return;
    const counts = this.#counts;
    this.#counts = new Map();
    try {
      if (counts.size > 0) await this.#log.add(counts);
    } catch (error) {
      for (const [hour, count] of counts) this.#counts.set(hour, (this.#counts.get(hour) ?? 0) + count);
      throw error;
    }
    const hour = Math.floor((nowMs - lateMs) / hourMs);
    if (hour === this.#learnedHour) return;
    this.profile.learn(await this.#log.since(nowMs - this.#keptMs), nowMs);
    this.#learnedHour = hour;
  }
}
