/**
 * What a request wants, as numbers: how many dollars a right answer is worth and how many dollars a second of waiting costs.
 * Arms are judged by one utility in units of quality, so that one learned estimate of quality, cost and time serves every
 * preference, also one that never occurred while learning (preference-conditioned policies: LLM Bandit, arXiv:2502.02743).
 */

/** A preference. */
export interface Preference {
  /** Dollars that one unit of quality (a right answer instead of a wrong one) is worth; above 0. Infinity: money does not count. */
  readonly qualityUsd: number;
  /** Dollars that a second of waiting costs; 0: time does not count. */
  readonly secondUsd: number;
}

/** What is expected of an arm. */
export interface Prospects {
  readonly quality: number;
  readonly costUsd: number;
  readonly latencyMs: number;
}

/**
 * Utility in units of quality.
 * @param price dual price of the budget: dollars that a dollar is worth beyond itself while money is scarce; default 0
 */
export function utilityOf({ quality, costUsd, latencyMs }: Prospects, { qualityUsd, secondUsd }: Preference, price = 0): number {
  const paid = ((1 + price) * costUsd + (secondUsd * latencyMs) / 1000) / qualityUsd;
  return quality - paid;
}

/** Preferences of the policy's objectives. Ours: they say only which way each leans. */
export const preferences: Readonly<Record<'quality' | 'balanced' | 'cost' | 'latency' | 'private', Preference>> = {
  quality: { qualityUsd: 1, secondUsd: 0.0005 },
  balanced: { qualityUsd: 0.05, secondUsd: 0.0005 },
  cost: { qualityUsd: 0.01, secondUsd: 0.0001 },
  latency: { qualityUsd: 0.05, secondUsd: 0.01 },
  private: { qualityUsd: 0.05, secondUsd: 0.0005 },
};
