/**
 * What this process sees of its members at this moment: calls under way, how long calls took lately, how many failed. One set a
 * process, shared by all requests; `ask` reports every call, `route` reads it. Fades with a half-life of five minutes, so that a
 * member that is not asked any more is given another chance.
 */
import type { BatteryReader } from '../system/battery.ts';
import type { Clock } from '../system/clock.ts';

/** How a call ended: well, by the member's fault, or because nobody waited for it any more. */
export type CallEnd = 'ok' | 'failed' | 'left';

/** A member at this moment. */
export interface LiveMember {
  /** Calls under way. */
  readonly running: number;
  /** Recent mean time of a whole call, in milliseconds, divided by the calls that shared the member when it began; undefined: none lately. */
  readonly latencyMs: number | undefined;
  /** Share of recent calls that failed by the member's fault, 0 to 1, drawn towards 0 while there are few. */
  readonly failureShare: number;
}

interface Seen {
  running: number;
  /** Faded numbers of calls that ended well and that failed, and the faded sum of the former's times. */
  ok: number;
  failed: number;
  sumMs: number;
  fadedAtMs: number;
}

const halfLifeMs = 300_000;
/** Calls that ended well in which every member is believed beforehand. */
const trust = 2;
/** Faded calls below which nothing is known of a member's time. */
const knownFrom = 0.2;

/** See the head of this file. */
export class Live {
  readonly #clock: Clock;
  readonly #battery: BatteryReader;
  readonly #members = new Map<string, Seen>();

  /** @param battery charge of this device, for those who read it here */
  constructor(clock: Clock, battery: BatteryReader = () => undefined) {
    this.#clock = clock;
    this.#battery = battery;
  }

  /** Charge of this device's battery, 0 to 1; undefined: unknown. */
  get batteryShare(): number | undefined {
    return this.#battery();
  }

  /** A call begins. @returns calls that the member has now, this one included */
  began(member: string): number {
    return ++this.#seen(member).running;
  }

  /** A call is over. @param sharing what `began` gave */
  ended(member: string, end: CallEnd, elapsedMs: number, sharing: number): void {
    const seen = this.#seen(member);
    seen.running--;
    if (end === 'left') return;
    this.#fade(seen);
    if (end === 'failed') seen.failed++;
    else {
      seen.ok++;
      seen.sumMs += elapsedMs / Math.max(1, sharing);
    }
  }

  /** A member at this moment. */
  of(member: string): LiveMember {
    const seen = this.#members.get(member);
    if (seen === undefined) return { running: 0, latencyMs: undefined, failureShare: 0 };
    this.#fade(seen);
    const { running, ok, failed, sumMs } = seen;
    return { running, latencyMs: ok < knownFrom ? undefined : sumMs / ok, failureShare: failed / (failed + ok + trust) };
  }

  #seen(member: string): Seen {
    let seen = this.#members.get(member);
    if (seen === undefined) this.#members.set(member, (seen = { running: 0, ok: 0, failed: 0, sumMs: 0, fadedAtMs: this.#clock.monotonicMs() }));
    return seen;
  }

  #fade(seen: Seen): void {
    const nowMs = this.#clock.monotonicMs();
    const kept = 2 ** ((seen.fadedAtMs - nowMs) / halfLifeMs);
    seen.ok *= kept;
    seen.failed *= kept;
    seen.sumMs *= kept;
    seen.fadedAtMs = nowMs;
  }
}
