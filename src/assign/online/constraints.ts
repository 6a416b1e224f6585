/**
 * Hard limits: which arms may be chosen at all. Looked at before any score, so that no score, exploration or reward can bring
 * back an arm that a limit excludes (PerLLM's constraint-satisfying bandit, arXiv:2405.14636, with one difference: an arm is
 * allowed only when the upper end of what is expected keeps the limit, so an unknown arm is not tried at the user's cost).
 */

/** What is at stake with an arm on one request. */
export interface Stakes {
  /** Dollars that it can cost at most; Infinity when its price is not known. */
  readonly costUsdMax: number;
  /** Milliseconds that it takes at most, with the probability that the limit asks for; Infinity when unknown. */
  readonly latencyMsHigh: number;
  /** Who can read the request on this arm. */
  readonly places: readonly string[];
}

/** Hard limits of one request. An absent one does not limit. */
export interface HardLimits {
  readonly costUsdMax?: number;
  readonly latencyMsMax?: number;
  readonly places?: readonly string[];
}

/** The name of the first limit that an arm does not keep; undefined when it keeps all. */
export function brokenLimit({ costUsdMax, latencyMsHigh, places }: Stakes, limits: HardLimits): 'places' | 'costUsdMax' | 'latencyMsMax' | undefined {
  if (limits.places !== undefined && places.some((place) => !limits.places?.includes(place))) return 'places';
  // A negated comparison, so that a number that is none breaks the limit.
  if (limits.costUsdMax !== undefined && !(costUsdMax <= limits.costUsdMax)) return 'costUsdMax';
  if (limits.latencyMsMax !== undefined && !(latencyMsHigh <= limits.latencyMsMax)) return 'latencyMsMax';
  return undefined;
}
