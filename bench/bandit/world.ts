/**
 * A stream of recorded requests in which prices and qualities change, and the policies that are compared on it.
 *
 * Rows are split by a hash of the prompt: 40 % teach the offline router, the rest is streamed in an order drawn from the seed. A
 * quality drop is a member that silently serves the recorded answers of another model, 30 points weaker as near as the set
 * has one (GPT-4 lost 34 on LLMDrift's primes between March and June 2023); a price change multiplies the recorded cost.
 * Utility of an answer = correct - cost / qualityUsd, where qualityUsd is 25 times what the best member's answer costs on
 * average, so that its price weighs 4 points.
 */
import { learners } from '../../src/assign/routers/index.ts';
import { estimates } from '../../src/assign/routers/learner.ts';
import { hashShare, type Row } from '../../src/bench/rows.ts';

/** A change that comes to a member at a share of the stream. */
export interface Shift {
  readonly at: number;
  readonly member: string;
  readonly quantity: 'cost' | 'reward';
}

/** Everything that is known of a set before the stream begins, and its rows. */
export interface World {
  readonly members: readonly string[];
  /** Stands in for a member after its quality dropped. */
  readonly standIn: ReadonlyMap<string, string>;
  readonly qualityUsd: number;
  readonly train: readonly Row[];
  readonly stream: readonly Row[];
  /** Estimated quality of every member and stand-in on every row, by the router that was taught on the training rows. */
  readonly estimate: ReadonlyMap<Row, ReadonlyMap<string, number>>;
  /** Means on the training rows. */
  readonly quality: ReadonlyMap<string, number>;
  readonly costUsd: ReadonlyMap<string, number>;
}

/** By how much a price change multiplies. */
export const priceFactor = 5;

/** Prepares a set. @param others models that are recorded but not in the team, for stand-ins @param drop of quality, 0 to 1 */
export function worldOf(rows: readonly Row[], members: readonly string[], others: readonly string[], drop = 0.3): World {
  const usable = rows.filter((row) => [...members, ...others].every((member) => row.correct[member] !== undefined) && members.every((member) => row.cost?.[member] !== undefined));
  const inTrain = (row: Row): boolean => hashShare(row.prompt, 'bandit') < 0.4;
  const train = usable.filter(inTrain);
  const stream = usable.filter((row) => !inTrain(row));
  const everyone = [...new Set([...members, ...others])];
  const mean = (of: (row: Row) => number): number => train.reduce((sum, row) => sum + of(row), 0) / train.length;
  const quality = new Map(everyone.map((member) => [member, mean((row) => row.correct[member] ?? 0)]));
  const costUsd = new Map(members.map((member) => [member, mean((row) => row.cost?.[member] ?? 0)]));
  const standIn = new Map(members.map((member) => {
    const wanted = (quality.get(member) ?? 0) - drop;
    return [member, everyone.filter((other) => other !== member).sort((a, b) => Math.abs((quality.get(a) ?? 0) - wanted) - Math.abs((quality.get(b) ?? 0) - wanted))[0] ?? member];
  }));
  const modelled = [...new Set([...members, ...standIn.values()])];
  const fitted = learners.get('linear')?.fit({ prompts: train.map(({ prompt }) => prompt), members: modelled, quality: Float64Array.from(train.flatMap((row) => modelled.map((member) => row.correct[member] ?? 0))), seed: 1 });
  const estimate = new Map<Row, ReadonlyMap<string, number>>();
  if (fitted !== undefined) {
    const found = estimates(fitted, usable.map(({ prompt }) => prompt));
    usable.forEach((row, i) => estimate.set(row, new Map(modelled.map((member, m) => [member, found[i * modelled.length + m] as number]))));
  }
  const best = [...members].sort((a, b) => (quality.get(b) ?? 0) - (quality.get(a) ?? 0))[0] ?? '';
  return { members, standIn, qualityUsd: 25 * (costUsd.get(best) ?? 0), train, stream, estimate, quality, costUsd };
}

/** What holds at a moment of the stream. */
export interface State {
  readonly factor: ReadonlyMap<string, number>;
  readonly served: ReadonlyMap<string, string>;
}

/** The state after some shifts. */
export function stateAfter(world: World, shifts: readonly Shift[]): State {
  const factor = new Map(world.members.map((member) => [member, 1]));
  const served = new Map(world.members.map((member) => [member, member]));
  for (const { member, quantity } of shifts) {
    if (quantity === 'cost') factor.set(member, priceFactor);
    else served.set(member, world.standIn.get(member) ?? member);
  }
  return { factor, served };
}

/** Correctness and dollars of a member's answer to a row. */
export function outcomeOf(row: Row, member: string, { factor, served }: State): { readonly reward: number; readonly costUsd: number } {
  return { reward: row.correct[served.get(member) ?? member] ?? 0, costUsd: (row.cost?.[member] ?? 0) * (factor.get(member) ?? 1) };
}

/** Utility of a member's answer to a row. */
export function utilityAt(world: World, row: Row, member: string, state: State): number {
  const { reward, costUsd } = outcomeOf(row, member, state);
  return reward - costUsd / world.qualityUsd;
}

/** A policy without memory. */
export type FixedPolicy = (row: Row) => string;

/**
 * The best of the fixed policies (every single member; the offline router by estimated utility) under a state of affairs, as
 * measured on the training rows. For the state before any change this is the best fixed router; for a later state it is a
 * clairvoyant that is told of the change at once.
 */
export function bestFixed(world: World, state: State): FixedPolicy {
  const { members, train, estimate, costUsd, qualityUsd } = world;
  const singles = members.map((member): FixedPolicy => () => member);
  const expected = (row: Row, member: string): number => (estimate.get(row)?.get(state.served.get(member) ?? member) ?? 0) - ((costUsd.get(member) ?? 0) * (state.factor.get(member) ?? 1)) / qualityUsd;
  const routed: FixedPolicy = (row) => members.reduce((best, member) => (expected(row, member) > expected(row, best) ? member : best));
  // The router is measured on the rows that it was taught on, which flatters it: it must win by half a point.
  const worth = (policy: FixedPolicy): number => train.reduce((sum, row) => sum + utilityAt(world, row, policy(row), state), 0) / train.length;
  const single = singles.reduce((best, policy) => (worth(policy) > worth(best) ? policy : best));
  return worth(routed) > worth(single) + 0.005 ? routed : single;
}

/** The member that a policy takes most often on the training rows. */
export function favouriteOf(world: World, policy: FixedPolicy): string {
  const counts = new Map<string, number>();
  for (const row of world.train) counts.set(policy(row), (counts.get(policy(row)) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? '';
}

/** The scenarios: which member changes how, and when. Fixed before anything was run on the reported set. */
export function scenarios(world: World): Readonly<Record<string, readonly Shift[]>> {
  const favourite = (shifts: readonly Shift[]): string => favouriteOf(world, bestFixed(world, stateAfter(world, shifts)));
  const first = favourite([]);
  const dearer: Shift = { at: 0.4, member: first, quantity: 'cost' };
  const worse: Shift = { at: 0.4, member: first, quantity: 'reward' };
  const afterWorse = favourite([worse]);
  return {
    'price, then quality': [dearer, { at: 0.7, member: favourite([dearer]), quantity: 'reward' }],
    'quality, then price': [worse, { at: 0.7, member: afterWorse, quantity: 'cost' }],
    'both midway': [{ at: 0.5, member: first, quantity: 'reward' }, { at: 0.5, member: afterWorse, quantity: 'cost' }],
  };
}
