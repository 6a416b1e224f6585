/**
 * What one key has used and may still use: requests and tokens in any 60 seconds, dollars since midnight UTC.
 *
 * A running request counts with its estimated prompt until it is settled. Dollars are checked against what is spent: what is left of the
 * day is what a request may cost, so requests that run at the same moment can overshoot the day's limit together, and one alone cannot.
 */
import { fail, TandemError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import type { AccountMemory } from './account-memory.ts';
import type { KeySettings } from './keys.ts';

const dayMs = 86_400_000;

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
   * @returns dollars that it may cost; undefined where they are not limited
   * @throws {TandemError} rate_limited, budget_exhausted
   */
  enter(promptTokens: number, nowMs: number, wallMs: number): number | undefined {
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
      return costUsdPerDay === undefined ? undefined : costUsdPerDay - memory.spentUsd;
    });
  }

  /** A request that was taken in has ended. @param promptTokens what `enter` was told */
  leave(promptTokens: number, usedTokens: number, costUsd: number, nowMs: number): void {
    const memory = this.#memory;
    memory.locked(() => {
      memory.runningTokens -= promptTokens;
      memory.spentUsd += costUsd;
      if (usedTokens > 0) memory.tokens?.add(usedTokens, nowMs);
    });
  }
}
