/**
 * Arithmetic on one law: the most likely token, log-probabilities, entropy, alternatives.
 *
 * One pass over the vocabulary each, nothing is sorted or allocated beyond the few entries that are reported.
 */
import { fail } from '../errors.ts';
import type { Law } from './program.ts';

/** The most likely token; the lowest id among equals. @throws {TandemError} engine_failed when the law holds no number */
export function argmax(law: Law): number {
  const { length } = law;
  let best = -Infinity;
  let at = -1;
  for (let id = 0; id < length; id++) {
    const logit = law[id] as number;
    if (logit > best) {
      best = logit;
      at = id;
    }
  }
  if (at < 0) fail('engine_failed', 'The model gave a law without a finite logit.');
  return at;
}

/** The largest logit. @throws {TandemError} engine_failed when the law holds no number */
export function largest(law: Law): number {
  let best = -Infinity;
  for (let id = 0; id < law.length; id++) if ((law[id] as number) > best) best = law[id] as number;
  if (best === -Infinity) fail('engine_failed', 'The model gave a law without a finite logit.');
  return best;
}

/** What can be said of a whole law. */
export interface LawSummary {
  /** Logarithm of the sum of exponentials: a token's log-probability is its logit minus this. */
  readonly logTotal: number;
  /** Shannon entropy in nats. */
  readonly entropy: number;
}

/** Normaliser and entropy of a law, in one pass. */
export function summarise(law: Law): LawSummary {
  const top = largest(law);
  let total = 0;
  let weighted = 0;
  for (let id = 0; id < law.length; id++) {
    const x = (law[id] as number) - top;
    if (x < -60) continue;
    const weight = Math.exp(x);
    total += weight;
    weighted += weight * x;
  }
  const logOfTotal = Math.log(total);
  return { logTotal: top + logOfTotal, entropy: Math.max(0, logOfTotal - weighted / total) };
}

/** The `count` most likely tokens, most likely first, with their logits. */
export function topTokens(law: Law, count: number): { readonly id: number; readonly logit: number }[] {
  const top: { id: number; logit: number }[] = [];
  let least = -Infinity;
  for (let id = 0; id < law.length && count > 0; id++) {
    const logit = law[id] as number;
    if (top.length === count && logit <= least) continue;
    if (logit === -Infinity || Number.isNaN(logit)) continue;
    let place = top.length;
    while (place > 0 && (top[place - 1] as { logit: number }).logit < logit) place--;
    top.splice(place, 0, { id, logit });
    if (top.length > count) top.pop();
    least = (top[top.length - 1] as { logit: number }).logit;
  }
  return top;
}
