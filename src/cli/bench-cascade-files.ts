/** The files that `tandem bench cascade` learns on all rows: a plan for the recipe `cascade`, a scorer of answers, a detector of unusual requests. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { encodePlan, type CascadePlan } from '../assign/cascade/plan.ts';
import { detectorFor, planFor, promisedTiers, sampledPlan, scorerFor, type CascadeReport } from '../bench/cascades.ts';
import type { Row } from '../bench/rows.ts';
import { fail } from '../errors.ts';
import { systemClock } from '../system/clock.ts';
import type { CascadeOptions } from './bench-cascade.ts';
import { note, type Terminal } from './terminal.ts';

/** What is learned from. */
export interface Learned {
  /** Name of the data. */
  readonly name: string;
  readonly rows: readonly Row[];
  readonly members: readonly string[];
  /** The way behind each member of the rows. */
  readonly arms: CascadePlan['arms'];
  readonly seed: number;
}

/** A plan, and what is said of it. */
interface Made {
  readonly plan: CascadePlan;
  readonly about: string;
}

/** The plan that is asked for: one that keeps a promise, reaches a target, or stays within a budget. */
export type PlanWish = { readonly out: string; readonly test: string } & ({ readonly lossMax: number } | { readonly target: number } | { readonly budgetShare: number });

/** What `--out` and the options beside it ask for, if anything; known before anything is measured. @throws {TandemError} usage */
export function planWish({ out, test, promise, target, budget }: CascadeOptions): PlanWish | undefined {
  if (out === undefined) return undefined;
  if (promise !== undefined) {
    const points = Number(promise);
    return points >= 0 && points <= 100 ? { out, test, lossMax: points / 100 } : fail('usage', '--promise takes points of a hundred, such as 1.');
  }
  if (target !== undefined) {
    const quality = Number(target);
    return quality >= 0 && quality <= 1 ? { out, test, target: quality } : fail('usage', '--target takes a quality from 0 to 1.');
  }
  if (budget === undefined) return fail('usage', '--out needs --budget <share>, --promise <points> or --target <quality>.');
  return { out, test, budgetShare: shareOf(budget, '--budget') };
}

/** Learns the plan on all rows and writes it. */
export function writePlan(terminal: Terminal, wish: PlanWish, learned: Learned, report: CascadeReport): void {
  const { test } = wish;
  const { plan, about } = 'lossMax' in wish ? promised(wish.lossMax, test, learned) : 'target' in wish ? aimed(wish.target, test, learned) : budgeted(wish.budgetShare, test, learned, report);
  writeFileSync(resolve(terminal.cwd, wish.out), encodePlan(plan));
  note(terminal, `Written: ${wish.out}${about}`);
}

/** Writes scorer and detector, where they are asked for. @throws {TandemError} bench_data_invalid */
export function writeJudges(terminal: Terminal, options: CascadeOptions, { rows, members, seed }: Learned): void {
  const write = (file: string, saved: object): void => writeFileSync(resolve(terminal.cwd, file), `${JSON.stringify(saved)}\n`);
  if (options.scorer !== undefined) write(options.scorer, scorerFor(rows, members[0] ?? '', seed, systemClock.wallMs()));
  if (options.detector !== undefined) write(options.detector, detectorFor(rows, seed, systemClock.wallMs()));
}

function promised(lossMax: number, test: string, learned: Learned): Made {
  const [first = '', last = ''] = [learned.members[0], learned.members.at(-1)];
  const { policy, promise } = promisedTiers(learned.rows, first, last, lossMax, systemClock.wallMs());
  const { threshold: _, ...kept } = promise;
  const plan = planOf(learned, { date: promise.madeAt.slice(0, 10), method: 'promise', test, budget: 0, heldOut: null, promise: kept }, policy, [first, last].map((member) => ({ member, samples: 1 })));
  const confidence = (100 * promise.confidence).toFixed(0);
  return { plan, about: `. At most ${(100 * promise.lossMax).toFixed(1)} points worse than always ${last}, with ${confidence} % confidence: ${(100 * promise.smallShare).toFixed(1)} % of the answers of ${first} are accepted; stands until ${promise.expiresAt.slice(0, 10)}.` };
}

function aimed(target: number, test: string, learned: Learned): Made {
  const { rows, members, arms } = learned;
  const policy = sampledPlan(rows, members, target);
  const order = policy.first.map(({ arm }) => `${arms[arm]?.member} x ${arms[arm]?.samples}`).join(', ');
  return { plan: planOf(learned, { date: today(), method: 'samples', test, budget: 0, heldOut: null }, policy, arms), about: `. From easy to hard: ${order}.` };
}

function budgeted(share: number, test: string, learned: Learned, report: CascadeReport): Made {
  const budget = share * Math.max(...report.members.map(({ cost }) => cost));
  const policy = planFor(learned.rows, learned.members, budget, learned.seed);
  // held out figures are known for the budgets that were measured
  const measured = report.budgets.find((each) => Math.abs(each.share - share) < 1e-9);
  const heldOut = measured === undefined ? null : { quality: measured.chosen.quality, cost: measured.chosen.cost, qualityLow: measured.chosenLow, qualityHigh: measured.chosenHigh };
  return { plan: planOf(learned, { date: today(), method: policy.method, test, budget, heldOut }, policy, learned.arms), about: ` (${policy.method}).` };
}

function planOf({ name, rows }: Learned, card: Omit<CascadePlan['card'], 'data'>, { edges, first }: { readonly edges: readonly number[]; readonly first: readonly CascadePlan['policy']['first'][number][] }, arms: CascadePlan['arms']): CascadePlan {
  return { kind: 'tandem-cascade', version: 1, card: { ...card, data: { name, rows: rows.length } }, arms, policy: { edges: edges.slice(), first: first.slice() } };
}

function today(): string {
  return new Date(systemClock.wallMs()).toISOString().slice(0, 10);
}

/** A budget as a share of the dearest member's. @throws {TandemError} usage */
export function shareOf(text: string, option: string): number {
  const value = Number(text);
  return value > 0 && value <= 10 ? value : fail('usage', `${option} takes shares above 0, such as 0.4.`);
}
