/** The configuration of the gateway processes that share one store in `replicas.test.ts`. */
import type { ConfigInput } from '../../src/config.ts';

/** Dollars a day that all processes together may spend. */
export const capUsd = 0.08;

export const sharedConfig: ConfigInput = { policy: { costUsdPerDay: capUsd }, pilot: { rewardsMin: 10, explore: 0.3 } };
