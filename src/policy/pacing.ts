/**
 * Pacing a budget over a day or a month: how dear a dollar is right now.
 *
 * The dual price p says what a dollar is worth beyond itself while money is scarce: a call that costs c and gains g (in dollars)
 * is worth making when g > (1 + p) c. It follows spending by online dual ascent (Balseiro, Lu and Mirrokni, arXiv:2002.10421,
 * multiplicative form):
 *
 *   target   dollars that a request may cost on average from here on = money left / requests expected until the period ends
 *   p' <-    (p + 1) * exp(step * (spent / target - 1)) - 1, kept between 0 and `priceMax`
 *
 * It looks ahead: the requests that are still expected come from a profile of the hours of the week, learned from traffic, so
 * that a quiet morning is not allowed to spend what a busy evening needs. A policy without a profile would spread money evenly
 * over time, one without pacing would spend it all at once and then have none.
 *
 * The price steers; it limits nothing. The hard cap is kept by `purse.ts`.
 */

/** An hour in milliseconds. */
export const hourMs = 3_600_000;
const weekHours = 168;

/** Requests by hour, added up over all replicas. */
export interface TrafficLog {
  /** Adds requests to hours, each in one atomic step. @param counts by the hour's beginning, in milliseconds since 1970 @throws {TandemError} store_failed */
  add(counts: ReadonlyMap<number, number>): Promise<void>;
  /** Requests of every hour that had any and began at or after a time. @throws {TandemError} store_failed */
  since(ms: number): Promise<ReadonlyMap<number, number>>;
}

/** Requests by hour of the week (UTC, Thursday 00:00 first, as 1970 began), learned by exponential smoothing. */
export class TrafficProfile {
  readonly #rates: Float64Array;
  readonly #seen: Int32Array;
  readonly #smoothing: number;
  #hour = -1;
  #count = 0;

  /** @param smoothing weight of a new hour against what its hour of the week was like before, above 0 up to 1; default 0.3 */
  constructor(smoothing = 0.3) {
    this.#rates = new Float64Array(weekHours);
    this.#seen = new Int32Array(weekHours);
    this.#smoothing = smoothing;
  }

  /** A request came. @param wallMs milliseconds since 1970 */
  note(wallMs: number): void {
    this.#close(Math.floor(wallMs / hourMs));
    this.#count++;
  }

  /** Requests that are expected in [fromMs, toMs). Hours that were never seen count as the mean of the same hour on other days, else of all. */
  expected(fromMs: number, toMs: number): number {
    let sum = 0;
    for (let at = fromMs; at < toMs; ) {
      const next = Math.min(toMs, (Math.floor(at / hourMs) + 1) * hourMs);
      sum += (this.#rateOf(Math.floor(at / hourMs)) * (next - at)) / hourMs;
      at = next;
    }
    return sum;
  }

  /** Learns anew from the hours that a log holds; the present hour is not over and teaches nothing. @param counts by the hour's beginning, in milliseconds since 1970 */
  learn(counts: ReadonlyMap<number, number>, nowMs: number): void {
    const present = Math.floor(nowMs / hourMs);
    const hours = [...counts.keys()].map((ms) => Math.floor(ms / hourMs)).filter((hour) => hour < present).sort((a, b) => a - b);
    this.#rates.fill(0);
    this.#seen.fill(0);
    hours.forEach((hour, i) => {
      this.#learn(hour, counts.get(hour * hourMs) ?? 0);
      this.#silence(hour, hours[i + 1] ?? present);
    });
  }

  #close(hour: number): void {
    if (hour === this.#hour) return;
    if (this.#hour >= 0) {
      this.#learn(this.#hour, this.#count);
      this.#silence(this.#hour, hour);
    }
    this.#hour = hour;
    this.#count = 0;
  }

  /** Hours without a request teach too; a gap of over a week says nothing about habits. */
  #silence(last: number, next: number): void {
    for (let silent = last + 1; silent < next && silent - last < weekHours; silent++) this.#learn(silent, 0);
  }

  #learn(hour: number, count: number): void {
    const slot = hour % weekHours;
    const known = this.#seen[slot] as number;
    const weight = known === 0 ? 1 : Math.max(this.#smoothing, 1 / (known + 1));
    this.#rates[slot] = (this.#rates[slot] as number) + weight * (count - (this.#rates[slot] as number));
    this.#seen[slot] = known + 1;
  }

  #rateOf(hour: number): number {
    const slot = hour % weekHours;
    if ((this.#seen[slot] as number) > 0) return this.#rates[slot] as number;
    return this.#meanOf((each) => each % 24 === slot % 24) ?? this.#meanOf(() => true) ?? this.#count;
  }

  #meanOf(wanted: (slot: number) => boolean): number | undefined {
    let [sum, count] = [0, 0];
    for (let slot = 0; slot < weekHours; slot++) {
      if ((this.#seen[slot] as number) === 0 || !wanted(slot)) continue;
      sum += this.#rates[slot] as number;
      count++;
    }
    return count === 0 ? undefined : sum / count;
  }
}

/** How a pace is kept. */
export interface PacerSettings {
  /** How fast the price follows; default 0.02. */
  readonly step?: number;
  /** Greatest price; default 1000: only what gains a thousand times its cost is bought. */
  readonly priceMax?: number;
}

/** Keeps the pace of one budget. */
export class Pacer {
  readonly #settings: PacerSettings;
  readonly #profile: TrafficProfile;
  #price = 0;
  /** Sum of the prices of the period's requests, and their number. */
  #prices = 0;
  #requests = 0;

  /** @param profile shared by the budgets of one gateway; whoever owns it notes the requests */
  constructor(settings: PacerSettings, profile: TrafficProfile) {
    this.#settings = settings;
    this.#profile = profile;
  }

  /** The dual price, at least 0. */
  get price(): number {
    return this.#price;
  }

  /** Dollars that a request may cost on average until the period ends. */
  target(leftUsd: number, nowMs: number, endMs: number): number {
    return Math.max(0, leftUsd) / Math.max(1, this.#profile.expected(nowMs, endMs));
  }

  /** A request was served. @param costUsd what it cost @param leftUsd dollars that are left of the period after it */
  served(costUsd: number, leftUsd: number, nowMs: number, endMs: number): void {
    const { step = 0.02, priceMax = 1000 } = this.#settings;
    const target = this.target(leftUsd, nowMs, endMs);
    // One dear request may not move the price by more than a few steps.
    const pull = target > 0 ? Math.max(-1, Math.min(4, costUsd / target - 1)) : 4;
    this.#price = Math.max(0, Math.min(priceMax, (this.#price + 1) * Math.exp(step * pull) - 1));
    this.#prices += this.#price;
    this.#requests++;
  }

  /** A new period begins: a dollar is as dear as it was in the mean of the last one. */
  begin(): void {
    if (this.#requests > 0) this.#price = this.#prices / this.#requests;
    [this.#prices, this.#requests] = [0, 0];
  }
}
