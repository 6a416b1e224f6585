/** Token counts that others report: what they say is money and limits, so only what can be a count is believed. */

/** No call comes to so many tokens: the largest contexts hold ten million. */
const tokensMax = 100_000_000;

/** The value where it is a whole number of tokens that a call may come to; undefined for anything else. */
export function tokenCount(value: unknown): number | undefined {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= tokensMax ? (value as number) : undefined;
}
