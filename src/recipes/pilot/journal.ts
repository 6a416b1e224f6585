/**
 * The pilot's journal: one row a decision, with everything that learning from it needs, and its reward once it has come. What
 * the pilot knows is a fold over the journal, so that a restart and another replica arrive at the same knowledge, and no update
 * can be lost: a reward is one atomic step in the store that succeeds for exactly one caller.
 *
 * Holds numbers and names, never text.
 */

/** A decision and what came of it. */
export interface JournalEntry {
  /** The trace of the request; one decision each. */
  readonly traceId: string;
  /** When it was decided, in milliseconds since 1970. */
  readonly atMs: number;
  readonly caller: string;
  /** Which list of recipes was chosen from: an objective of the policy. */
  readonly rule: string;
  readonly arm: string;
  /** Whether the rules decided although the learned policy was in force. */
  readonly held: boolean;
  /** Whether the learned policy was in force. */
  readonly learned: boolean;
  readonly propensity: number;
  /** Probability with which the learned policy would have chosen this arm. */
  readonly target: number;
  /** Utility expected of this arm, and under the learned policy's law, at that time. */
  readonly modelled: number;
  readonly modelledTarget: number;
  /** Dollars that one unit of quality was worth. */
  readonly qualityUsd: number;
  readonly features: readonly number[];
  /** Absent where a price is not known or the request failed. */
  readonly costUsd?: number;
  readonly latencyMs?: number;
}

/** A rewarded decision. */
export interface RewardedEntry extends JournalEntry {
  /** 0 to 1. */
  readonly reward: number;
  readonly rewardAtMs: number;
  /** Kind of judgement, such as `thumb`, `edit`, `judge`, `verifier`. */
  readonly source: string;
}

/** Where the journal is kept. */
export interface Journal {
  /** Keeps a decision; one that is there already stays as it is. @throws {TandemError} store_failed */
  decided(entry: JournalEntry): Promise<void>;
  /**
   * Gives a decision its reward: once, and never again.
   * @returns the entry; `repeated` when it had one already; undefined when there is no such decision
   * @throws {TandemError} store_failed
   */
  rewarded(traceId: string, reward: number, source: string, atMs: number): Promise<RewardedEntry | 'repeated' | undefined>;
  /**
   * Rewarded decisions whose reward came at or after a time, in the order in which rewards came, then of their traces.
   * @param after of those whose reward came at that very time, only traces that follow this one: the next page
   * @throws {TandemError} store_failed
   */
  since(rewardAtMs: number, limit: number, after?: string): Promise<readonly RewardedEntry[]>;
  /** The latest rewarded decisions, oldest first. @throws {TandemError} store_failed */
  latest(limit: number): Promise<readonly RewardedEntry[]>;
}

/** A journal in memory, for one process that keeps nothing. @param entriesMax oldest go first */
export function memoryJournal(entriesMax = 20_000): Journal {
  const entries = new Map<string, JournalEntry | RewardedEntry>();
  const rewarded = (): RewardedEntry[] => [...entries.values()].filter((entry) => 'reward' in entry).sort((a, b) => a.rewardAtMs - b.rewardAtMs || (a.traceId < b.traceId ? -1 : 1));
  return {
    decided: (entry) => {
      if (!entries.has(entry.traceId)) entries.set(entry.traceId, entry);
      const [oldest] = entries.keys();
      if (entries.size > entriesMax && oldest !== undefined) entries.delete(oldest);
      return Promise.resolve();
    },
    rewarded: (traceId, reward, source, atMs) => {
      const entry = entries.get(traceId);
      if (entry === undefined) return Promise.resolve(undefined);
      if ('reward' in entry) return Promise.resolve('repeated' as const);
      const full: RewardedEntry = { ...entry, reward, source, rewardAtMs: atMs };
      entries.set(traceId, full);
      return Promise.resolve(full);
    },
    since: (ms, limit, after = '') => Promise.resolve(rewarded().filter(({ rewardAtMs, traceId }) => rewardAtMs > ms || (rewardAtMs === ms && traceId > after)).slice(0, limit)),
    latest: (limit) => Promise.resolve(rewarded().slice(-limit)),
  };
}
