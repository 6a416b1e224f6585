/**
 * What one key has used and may still use: requests and tokens in any 60 seconds, dollars since midnight UTC.
 *
 * A running request counts with its estimated prompt until it is settled, and not with the longest answer that it may get: most answers are
 * far shorter, and a few requests of the default length at once would use up a small limit. So answers can pass the limit of tokens together.
 *
 * Dollars are a hard limit. The calls of a request set their dollars aside before they start, out of what is left of the key's day, and what
 * they cost stays set aside until the request has ended and is counted as spent: so requests that run at the same moment cannot overspend
 * together, whichever threads of the process they run in. Other processes keep books of their own.
 */
import { fail, TandemError } from '../errors.ts';
import type { KeyPurse } from '../exchange.ts';
import type { Store } from '../store/store.ts';
import type { AccountMemory } from './account-memory.ts';
import type { KeySettings } from './keys.ts';

const dayMs = 86_400_000;

/** What a request that was taken in holds of its key's limits. */
export interface Entered {
  /** Prompt tokens, estimated. */
  readonly promptTokens: number;
  /** Its way to the key's dollars; undefined where they are not limited. */
  readonly draw: Draw | undefined;
}

/** Dollars that one request has drawn on its key's day. */
export class Draw implements KeyPurse {
  /** Dollars that were left of the day when the request came in, at least 0. */
  readonly costUsdMax: number;
  readonly #memory: AccountMemory;
  readonly #costUsdPerDay: number;
  #heldUsd = 0;
  #over = false;

  /** Make it while the account is locked. @param memory of the key's account @param costUsdPerDay the key's limit */
  constructor(memory: AccountMemory, costUsdPerDay: number) {
    this.#memory = memory;
    this.#costUsdPerDay = costUsdPerDay;
    this.costUsdMax = Math.max(0, this.#leftUsd);
  }

  get leftUsd(): number {
    return this.#memory.locked(() => this.#leftUsd);
  }

  take(leastUsd: number, mostUsd: number): number | undefined {
    return this.#memory.locked(() => {
      const takenUsd = Math.min(mostUsd, this.#leftUsd);
      if (takenUsd < leastUsd || this.#over) return undefined;
      this.#hold(takenUsd);
      return takenUsd;
    });
  }

  settle(takenUsd: number, costUsd: number): void {
    if (takenUsd !== costUsd) this.#memory.locked(() => this.#hold(costUsd - takenUsd));
  }

  /** The request has ended: nothing of it is set aside any more. Call it once, while the account is locked. */
  end(): void {
    this.#hold(-this.#heldUsd);
    this.#over = true;
    if (--this.#memory.drawing === 0) this.#memory.asideUsd = 0; // sums of fractions drift
  }

  get #leftUsd(): number {
    return this.#costUsdPerDay - this.#memory.spentUsd - this.#memory.asideUsd;
  }

  #hold(moreUsd: number): void {
    if (this.#over) return; // the request's account is closed: what it cost is counted
    this.#heldUsd += moreUsd;
    this.#memory.asideUsd += moreUsd;
  }
}

/** What one key has used. */
export class Account {
  readonly #settings: KeySettings;
  readonly #memory: AccountMemory;
  #loading: Promise<void> | undefined;

  /** @param settings limits of the key @param memory where its numbers lie */
  constructor(settings: KeySettings, memory: AccountMemory) {
    this.#settings = settings;
    this.#memory = memory;
  }

  /** Whether anything of this key is limited. */
  get limited(): boolean {
    const { requestsPerMinute, tokensPerMinute, costUsdPerDay } = this.#settings;
    return requestsPerMinute !== undefined || tokensPerMinute !== undefined || costUsdPerDay !== undefined;
  }

  /** Reads what the key has spent today, once; gives a promise only while that is under way. @throws {TandemError} store_failed */
  prepare(store: Store, wallMs: number): Promise<void> | undefined {
    if (this.#settings.costUsdPerDay === undefined) return undefined;
    const memory = this.#memory;
    const day = Math.floor(wallMs / dayMs);
    const known = memory.locked(() => {
      if (memory.day !== undefined && day > memory.day) {
        memory.day = day;
        memory.spentUsd = 0;
      }
      return memory.day !== undefined;
    });
    if (known) return undefined;
    this.#loading ??= store.spentUsd(this.#settings.name, day * dayMs).then(
      (spentUsd) => {
        this.#loading = undefined;
        memory.locked(() => {
          if (memory.day !== undefined) return; // another thread was first
          memory.spentUsd += spentUsd;
          memory.day = day;
        });
      },
      (cause: unknown) => {
        this.#loading = undefined;
        throw TandemError.is(cause) ? cause : new TandemError('store_failed', { message: 'What the key has spent could not be read.', cause });
      },
    );
    return this.#loading;
  }

  /**
   * Takes a request in. @param promptTokens estimated
   * @returns what to give back with `leave` once it has ended
   * @throws {TandemError} rate_limited, budget_exhausted
   */
  enter(promptTokens: number, nowMs: number, wallMs: number): Entered {
    const { name, requestsPerMinute = 0, tokensPerMinute = 0, costUsdPerDay } = this.#settings;
    const memory = this.#memory;
    return memory.locked(() => {
      const { requests, tokens, runningTokens } = memory;
      if (requests !== undefined && requests.sum(nowMs) + 1 > requestsPerMinute) {
        fail('rate_limited', { message: `The key "${name}" may send ${requestsPerMinute} requests a minute.`, retryAfterMs: requests.untilAtMost(requestsPerMinute - 1, nowMs) });
      }
      if (tokens !== undefined && tokens.sum(nowMs) + runningTokens + promptTokens > tokensPerMinute) {
        const room = Math.max(0, tokensPerMinute - runningTokens - promptTokens);
        fail('rate_limited', { message: `The key "${name}" may use ${tokensPerMinute} tokens a minute.`, retryAfterMs: Math.max(1_000, tokens.untilAtMost(room, nowMs)) });
      }
      if (costUsdPerDay !== undefined && memory.spentUsd >= costUsdPerDay) {
        fail('budget_exhausted', { message: `The key "${name}" may spend ${costUsdPerDay} dollars a day.`, retryAfterMs: dayMs - (wallMs % dayMs) });
      }
      requests?.add(1, nowMs);
      memory.runningTokens = runningTokens + promptTokens;
      if (costUsdPerDay === undefined) return { promptTokens, draw: undefined };
      memory.drawing++;
      return { promptTokens, draw: new Draw(memory, costUsdPerDay) };
    });
  }

  /** A request that was taken in has ended. @param entered what `enter` gave */
  leave({ promptTokens, draw }: Entered, usedTokens: number, costUsd: number, nowMs: number): void {
    const memory = this.#memory;
    memory.locked(() => {
      memory.runningTokens -= promptTokens;
      memory.spentUsd += costUsd;
      draw?.end();
      if (usedTokens > 0) memory.tokens?.add(usedTokens, nowMs);
    });
  }
}
