/**
 * The purse: a hard cap on dollars in a period, for the whole gateway and for all its replicas together.
 *
 * Every paid call sets its worst case aside before it starts and settles what it cost. Money comes from the ledger in leases:
 * one atomic step in the store grants a sum only while all that was ever granted stays within the cap, and the calls of this
 * process draw from their lease without asking the store. So the sum of what was spent and set aside never exceeds the cap,
 * whatever the replicas do at the same time. A process that dies takes its unspent lease with it until the period ends: the cap
 * errs to the safe side.
 *
 * No score, retry, fallback or feedback passes by here: the purse does not know why a call is made.
 */
import { fail } from '../errors.ts';
import type { Clock } from '../system/clock.ts';

/** Where leases come from. */
export interface SpendLedger {
  /**
   * Grants dollars of a period in one atomic step: all of `wantUsd`, or what is left of the cap if that is less, or 0.
   * @throws {TandemError} store_failed
   */
  lease(period: string, wantUsd: number, capUsd: number): Promise<number>;
  /** Gives back what a lease did not use. @throws {TandemError} store_failed */
  giveBack(period: string, usd: number): Promise<void>;
  /** Dollars that were granted in a period, in all. @throws {TandemError} store_failed */
  granted(period: string): Promise<number>;
}

/** A cap. */
export interface Cap {
  /** `day` or `month`, both in UTC. */
  readonly period: 'day' | 'month';
  readonly costUsd: number;
}

/** When a period began and ends, and its name in the ledger. */
export function periodOf(period: Cap['period'], wallMs: number): { readonly name: string; readonly startMs: number; readonly endMs: number } {
  const date = new Date(wallMs);
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  const [startMs, endMs] = period === 'day' ? [Date.UTC(year, month, day), Date.UTC(year, month, day + 1)] : [Date.UTC(year, month, 1), Date.UTC(year, month + 1, 1)];
  return { name: `${period}:${new Date(startMs).toISOString().slice(0, 10)}`, startMs, endMs };
}

/** A ledger in this process: for one replica without a store. */
export function memoryLedger(): SpendLedger {
  const granted = new Map<string, number>();
  return {
    lease: (period, wantUsd, capUsd) => {
      const sofar = granted.get(period) ?? 0;
      const grant = Math.max(0, Math.min(wantUsd, capUsd - sofar));
      granted.set(period, sofar + grant);
      return Promise.resolve(grant);
    },
    giveBack: (period, usd) => {
      granted.set(period, Math.max(0, (granted.get(period) ?? 0) - usd));
      return Promise.resolve();
    },
    granted: (period) => Promise.resolve(granted.get(period) ?? 0),
  };
}

/** Dollars set aside in a period. */
export interface PurseTaken {
  readonly period: string;
  readonly costUsd: number;
}

/** Part of the cap that one lease takes. */
const leaseShare = 0.02;

/** A purse with one cap. */
export class Purse {
  readonly #cap: Cap;
  readonly #ledger: SpendLedger;
  readonly #clock: Clock;
  #period: string;
  #heldUsd = 0;
  #asideUsd = 0;
  #spentUsd = 0;
  #leasing: Promise<void> | undefined;
  #empty = false;

  constructor(cap: Cap, ledger: SpendLedger, clock: Clock) {
    this.#cap = cap;
    this.#ledger = ledger;
    this.#clock = clock;
    this.#period = periodOf(cap.period, clock.wallMs()).name;
  }

  /** Dollars that calls may still set aside without another lease. */
  get heldUsd(): number {
    this.#turn();
    return this.#heldUsd;
  }

  /** Dollars that running calls have set aside. */
  get asideUsd(): number {
    this.#turn();
    return this.#asideUsd;
  }

  /** Dollars that this process spent in the period. */
  get spentUsd(): number {
    this.#turn();
    return this.#spentUsd;
  }

  /** Whether the ledger had nothing left when last asked. */
  get empty(): boolean {
    this.#turn();
    return this.#empty;
  }

  get cap(): Cap {
    return this.#cap;
  }

  /** Takes a lease when less than `wantUsd` is held. Resolves when it is there; the lease may be smaller. @throws {TandemError} store_failed */
  async prepare(wantUsd: number): Promise<void> {
    this.#turn();
    while (this.#leasing !== undefined) await this.#leasing;
    if (this.#heldUsd >= wantUsd) return;
    const period = this.#period;
    const want = Math.max(wantUsd - this.#heldUsd, leaseShare * this.#cap.costUsd);
    this.#leasing = this.#ledger.lease(period, want, this.#cap.costUsd).then(
      (grant) => {
        this.#leasing = undefined;
        if (period !== this.#period) return;
        this.#heldUsd += grant;
        this.#empty = grant < want;
      },
      (error: unknown) => {
        this.#leasing = undefined;
        throw error;
      },
    );
    await this.#leasing;
  }

  /** Sets dollars aside. @throws {TandemError} budget_exhausted when they are not held */
  take(costUsd: number): PurseTaken {
    this.#turn();
    if (!(costUsd <= this.#heldUsd)) {
      const { endMs } = periodOf(this.#cap.period, this.#clock.wallMs());
      fail('budget_exhausted', { message: `All models together may cost ${this.#cap.costUsd} dollars a ${this.#cap.period}; too little is left for this call.`, retryAfterMs: Math.max(1_000, endMs - this.#clock.wallMs()) });
    }
    this.#heldUsd -= costUsd;
    this.#asideUsd += costUsd;
    return { period: this.#period, costUsd };
  }

  /** A call has ended. What it did not cost can be used again, unless its period is over. */
  settle(taken: PurseTaken, costUsd: number): void {
    this.#turn();
    if (taken.period !== this.#period) return;
    this.#heldUsd += taken.costUsd - costUsd;
    this.#asideUsd -= taken.costUsd;
    this.#spentUsd += costUsd;
  }

  /**
   * Gives back what is held beyond `keepUsd` (at least one lease), so that other replicas can use it. What the ledger does not
   * confirm stays granted: the cap errs to the safe side.
   * @throws {TandemError} store_failed
   */
  async rest(keepUsd: number): Promise<void> {
    this.#turn();
    await this.#return(this.#heldUsd - Math.max(keepUsd, leaseShare * this.#cap.costUsd));
  }

  /** Gives the unused lease back, at shutdown. */
  async close(): Promise<void> {
    await this.#return(this.#heldUsd);
  }

  async #return(usd: number): Promise<void> {
    if (usd <= 0) return;
    this.#heldUsd -= usd;
    await this.#ledger.giveBack(this.#period, usd);
  }

  #turn(): void {
    const { name } = periodOf(this.#cap.period, this.#clock.wallMs());
    if (name === this.#period) return;
    this.#period = name;
    this.#heldUsd = 0;
    this.#asideUsd = 0;
    this.#spentUsd = 0;
    this.#empty = false;
  }
}

/** What was set aside of several purses. */
export interface PursesTaken {
  readonly costUsd: number;
  readonly parts?: readonly PurseTaken[];
}

/** Several caps at once: money must be there under each of them. */
export class Purses {
  readonly purses: readonly Purse[];
  readonly #price: () => number;

  /** @param purses at least one @param price what a dollar is worth beyond itself now, at least 0 */
  constructor(purses: readonly Purse[], price: () => number = () => 0) {
    this.purses = purses;
    this.#price = price;
  }

  /** What a dollar is worth beyond itself now; 0 while money is plentiful. */
  get price(): number {
    return this.#price();
  }

  /** Dollars that can be set aside under every cap. */
  get heldUsd(): number {
    return Math.min(...this.purses.map(({ heldUsd }) => heldUsd));
  }

  /** Dollars under every cap for calls that were promised so much in all: what is held, and what they have set aside of it. */
  usableUsd(promisedUsd: number): number {
    return Math.min(...this.purses.map(({ heldUsd, asideUsd }) => heldUsd + Math.min(asideUsd, promisedUsd)));
  }

  /** Takes leases where too little is held. @throws {TandemError} store_failed */
  async prepare(wantUsd: number): Promise<void> {
    for (const purse of this.purses) await purse.prepare(wantUsd);
  }

  /** Sets dollars aside under every cap. @throws {TandemError} budget_exhausted */
  take(costUsd: number): PursesTaken {
    const parts: PurseTaken[] = [];
    try {
      for (const purse of this.purses) parts.push(purse.take(costUsd));
      return { costUsd, parts };
    } catch (error) {
      parts.forEach((part, i) => this.purses[i]?.settle(part, 0));
      throw error;
    }
  }

  /** A call has ended. */
  settle({ parts = [] }: PursesTaken, costUsd: number): void {
    parts.forEach((part, i) => this.purses[i]?.settle(part, costUsd));
  }

  /** Gives back what is held beyond `keepUsd`, and beyond one lease. @throws {TandemError} store_failed */
  async rest(keepUsd: number): Promise<void> {
    for (const purse of this.purses) await purse.rest(keepUsd);
  }

  /** Gives unused leases back. */
  async close(): Promise<void> {
    for (const purse of this.purses) await purse.close();
  }
}
