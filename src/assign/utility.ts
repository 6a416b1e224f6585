/**
 * Choosing among several members: the one of greatest utility, or the cheapest that is good enough. What a member costs now
 * depends on the live state: the queue before it, the link to it, its price, the battery of this device.
 *
 * Sources: utility under bandwidth constraints (Enhanced Hybrid Inference), quality and cost predictors with a cost-aware
 * selector (Routoo, arXiv:2401.13979), a gate that keeps few experts (MoE^2).
 */
import type { Place } from '../exchange.ts';

/** What is known of a member before it is asked. */
export interface Candidate {
  readonly member: string;
  readonly place: Place;
  /** Expected quality, 0 to 1. */
  readonly quality: number;
  /** Dollars, milliseconds and joules of one call, on an idle machine and link. */
  readonly costUsd: number;
  readonly latencyMs: number;
  readonly energyJ: number;
}

/** What the moment adds. Whoever knows it passes it in; every field may be absent. */
export interface LiveState {
  /** Requests that wait before a member. */
  readonly queue?: Readonly<Record<string, number>> | undefined;
  /** Megabits a second to members in the cloud; 0: there is no link. */
  readonly linkMbps?: number | undefined;
  readonly linkRttMs?: number | undefined;
  /** Charge of this device's battery, 0 to 1. */
  readonly batteryShare?: number | undefined;
}

/** Quality that a dollar, a second and a joule are worth. */
export interface Worth {
  readonly usd: number;
  readonly second: number;
  readonly joule: number;
}

/** A candidate with its utility. */
export interface Weighed extends Candidate {
  /** Minus infinity: cannot be reached. */
  readonly utility: number;
}

/** Seconds until a candidate's answer is there, at this moment. @param promptBytes what goes up the link */
export function secondsNow({ member, place, latencyMs }: Candidate, { queue, linkMbps, linkRttMs = 0 }: LiveState, promptBytes: number): number {
  const working = (latencyMs / 1000) * (1 + (queue?.[member] ?? 0));
  if (place === 'device') return working;
  const sending = linkMbps === undefined ? 0 : linkMbps <= 0 ? Infinity : (promptBytes * 8) / (linkMbps * 1e6);
  return working + linkRttMs / 1000 + sending;
}

/** The candidates, greatest utility first; those that cannot be reached are left out. */
export function byUtility(candidates: readonly Candidate[], worth: Worth, state: LiveState, promptBytes: number): Weighed[] {
  return candidates
    .map((each) => {
      const seconds = secondsNow(each, state, promptBytes);
      // A joule is the dearer the emptier the battery: at a tenth of its charge ten times as dear.
      const scarcity = each.place === 'device' && state.batteryShare !== undefined ? 1 / Math.max(0.02, state.batteryShare) : 1;
      const drawn = each.place === 'device' ? each.energyJ : 0;
      return { ...each, utility: seconds === Infinity ? -Infinity : each.quality - worth.usd * each.costUsd - worth.second * seconds - worth.joule * scarcity * drawn };
    })
    .filter(({ utility }) => utility > -Infinity)
    .sort((a, b) => b.utility - a.utility);
}

/** The cheapest candidate whose quality is within `gap` of the best; the others after it, best first. */
export function cheapestAdequate(candidates: readonly Weighed[], gap: number): Weighed[] {
  const best = Math.max(...candidates.map(({ quality }) => quality));
  const chosen = candidates.filter(({ quality }) => quality >= best - gap).sort((a, b) => a.costUsd - b.costUsd || a.latencyMs - b.latencyMs || b.quality - a.quality)[0];
  return [...(chosen === undefined ? [] : [chosen]), ...candidates.filter((each) => each !== chosen).sort((a, b) => b.quality - a.quality)];
}

/** The `kept` candidates of greatest utility with weights that sum to 1: softmax of the utilities over a temperature. */
export function gated(candidates: readonly Weighed[], kept: number, temperature = 0.1): { readonly candidate: Weighed; readonly weight: number }[] {
  const chosen = candidates.slice(0, kept);
  const powers = chosen.map(({ utility }) => Math.exp((utility - (chosen[0]?.utility ?? 0)) / temperature));
  const sum = powers.reduce((total, each) => total + each, 0);
  return chosen.map((candidate, i) => ({ candidate, weight: (powers[i] ?? 0) / sum }));
}
