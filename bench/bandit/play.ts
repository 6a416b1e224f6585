/** Plays a stream: the bandit, the fixed best router, and the clairvoyant that both are measured against. */
import { performance } from 'node:perf_hooks';
import { createBandit, type Option } from '../../src/assign/online/index.ts';
import type { ChoiceRule } from '../../src/assign/online/propensities.ts';
import { hashShare, type Row } from '../../src/bench/rows.ts';
import { seededRandom } from '../../src/system/random.ts';
import { bestFixed, outcomeOf, stateAfter, utilityAt, type Shift, type World } from './world.ts';

/** Knobs of the bandit. Chosen on LLMRouter's training rows, see bench/bandit.ts. */
export interface BanditKnobs {
  readonly rule: ChoiceRule;
  readonly width: number;
  readonly explore: number;
  /** Observations that the offline router's mean, and its slope, are worth. */
  readonly worth: number;
  readonly slopeWorth: number;
  readonly discount: number;
}

/** How the stream is played. */
export interface PlaySettings {
  readonly knobs: BanditKnobs;
  readonly requests: number;
  /** Requests after which a reward is known. */
  readonly delay: number;
  /** Share of requests whose reward ever becomes known. */
  readonly feedback: number;
  readonly seed: number;
}

/** What came of a stream. Sums over the stream, in units of quality. */
export interface Played {
  readonly regretBandit: number;
  readonly regretFixed: number;
  /** Requests from each shift to its alarm; undefined when none came. */
  readonly noticed: readonly (number | undefined)[];
  readonly falseAlarms: number;
  /** Mean utilities: bandit, fixed, clairvoyant, and the best answer of every request. */
  readonly mean: { readonly bandit: number; readonly fixed: number; readonly clairvoyant: number; readonly oracle: number };
  readonly decisionUs: readonly number[];
}

/** Plays one stream of a scenario. */
export function play(world: World, shifts: readonly Shift[], { knobs, requests, delay, feedback, seed }: PlaySettings): Played {
  const rows = [...world.stream].map((row) => ({ row, at: hashShare(row.id, `stream-${seed}`) })).sort((a, b) => a.at - b.at).slice(0, requests).map(({ row }) => row);
  const begins = shifts.map(({ at }) => Math.floor(at * rows.length));
  const segments = [...new Set([0, ...begins])].sort((a, b) => a - b);
  const states = segments.map((from) => stateAfter(world, shifts.filter((_, i) => (begins[i] ?? 0) <= from)));
  const segmentOf = (n: number): number => segments.findLastIndex((from) => from <= n);
  const fixed = bestFixed(world, stateAfter(world, []));
  const clairvoyants = segments.map((from, s) => {
    const state = states[s] ?? stateAfter(world, []);
    const inside = rows.slice(from, segments[s + 1] ?? rows.length);
    const worth = (policy: (row: Row) => string): number => inside.reduce((sum, row) => sum + utilityAt(world, row, policy(row), state), 0);
    // Told of every change at once; and where a single member did better in hindsight, that one.
    return [bestFixed(world, state), ...world.members.map((member) => () => member)].reduce((best, policy) => (worth(policy) > worth(best) ? policy : best));
  });
  const bandit = createBandit({
    choice: { rule: knobs.rule, width: knobs.width, explore: knobs.explore },
    arm: (id) => ({ size: 3, quality: { mean: [world.quality.get(id) ?? 0.5, 1, 0], precision: [knobs.worth, knobs.slopeWorth, knobs.slopeWorth] }, costUsd: world.costUsd.get(id) ?? 0, worth: 5, discount: knobs.discount }),
  });
  const preference = { qualityUsd: world.qualityUsd, secondUsd: 0 };
  const random = seededRandom(seed);
  const sums = { bandit: 0, fixed: 0, clairvoyant: 0, oracle: 0 };
  const noticed: (number | undefined)[] = shifts.map(() => undefined);
  const decisionUs: number[] = [];
  const waiting: { readonly due: number; readonly arm: string; readonly features: Float64Array; readonly reward?: number; readonly costUsd: number }[] = [];
  let falseAlarms = 0;
  rows.forEach((row, n) => {
    for (; waiting[0] !== undefined && waiting[0].due <= n; waiting.shift()) {
      for (const change of bandit.learn(waiting[0])) {
        const which = shifts.findIndex(({ member, quantity }, i) => change.arm === member && change.quantity === quantity && n >= (begins[i] ?? 0));
        if (which === -1) falseAlarms++;
        else noticed[which] ??= n - (begins[which] ?? 0);
      }
    }
    const state = states[segmentOf(n)] ?? stateAfter(world, []);
    const started = performance.now();
    const length = Math.log((row.prompt.length + 100) / 500);
    const options: Option[] = world.members.map((arm) => ({ arm, features: Float64Array.of(1, (world.estimate.get(row)?.get(arm) ?? 0) - (world.quality.get(arm) ?? 0), length) }));
    const { arm = world.members[0] ?? '' } = bandit.choose({ options, preference }, random.next);
    decisionUs.push(1000 * (performance.now() - started));
    const { reward, costUsd } = outcomeOf(row, arm, state);
    const features = options.find((option) => option.arm === arm)?.features ?? Float64Array.of(1, 0, length);
    // The bill is seen for every answer, the reward only for some.
    waiting.push({ due: n + delay, arm, features, costUsd, ...(random.next() < feedback ? { reward } : {}) });
    sums.bandit += utilityAt(world, row, arm, state);
    sums.fixed += utilityAt(world, row, fixed(row), state);
    sums.clairvoyant += utilityAt(world, row, (clairvoyants[segmentOf(n)] ?? fixed)(row), state);
    sums.oracle += Math.max(...world.members.map((member) => utilityAt(world, row, member, state)));
  });
  const count = rows.length;
  return { regretBandit: sums.clairvoyant - sums.bandit, regretFixed: sums.clairvoyant - sums.fixed, noticed, falseAlarms, mean: { bandit: sums.bandit / count, fixed: sums.fixed / count, clairvoyant: sums.clairvoyant / count, oracle: sums.oracle / count }, decisionUs };
}
