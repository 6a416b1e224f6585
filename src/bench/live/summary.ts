/** From the cells of a run to one row a recipe, with bootstrap intervals; tasks are resampled, and the same ones for every recipe. */
import { bootstrap, type Interval } from '../metrics/bootstrap.ts';
import { frontier } from '../metrics/cost.ts';
import { quantile } from '../metrics/curve.ts';
import type { Cell, RunHeader } from './journal.ts';
import type { LiveTask } from './tasks.ts';

/** A mean with its 95 % interval. */
export interface Estimate extends Interval {
  readonly value: number;
}

/** What a recipe did, on all tasks. */
export interface RecipeSummary {
  readonly recipe: string;
  /** Tasks that it was measured on, and those of them whose request failed. */
  readonly tasks: number;
  readonly failed: number;
  /** Codes of the failures and how often each came. */
  readonly errors: Readonly<Record<string, number>>;
  /** Answers that the length limit cut off; they count as wrong. */
  readonly cutOff: number;
  /** Mean of the checks, 0 to 1. */
  readonly quality: Estimate;
  /** Quality less that of the reference on the same tasks; null for the reference itself. */
  readonly qualityDifference: Estimate | null;
  /** Dollars per 1,000 requests. */
  readonly costUsdPer1000: Estimate;
  /** False when a member's price is not known: dollars leave its calls out. */
  readonly priceKnown: boolean;
  readonly latencyP50Ms: Estimate;
  readonly latencyP99Ms: number;
  readonly firstPartP50Ms: number | null;
  /** Joules a request, and the least certain source among its calls. */
  readonly energyJ: Estimate;
  readonly energySource: Cell['energySource'];
  /** Bytes that went to members in the cloud, a request. */
  readonly cloudBytes: Estimate;
  /** Disclosures: share of the requests whose text reached a member in the cloud, 0 to 1. */
  readonly disclosedShare: number;
  /** Private values that were masked before that, in all requests together. */
  readonly hiddenValues: number;
  /** Share of the requests that called a member in the role `large`; null when the team has none. */
  readonly largeShare: Estimate | null;
  /** Share of all tokens that members wrote, written by members in the role `large`; null when the team has none. */
  readonly largeTokenShare: number | null;
  readonly calls: number;
  readonly tokens: number;
  /** Mean quality by kind of task. */
  readonly byTask: Readonly<Record<string, number>>;
}

/** The outcome of a run. */
export interface LiveReport {
  readonly header: RunHeader;
  /** ISO 8601: when the last part of the run ended. */
  readonly finishedAt: string;
  readonly machine: string;
  /** Tasks that every recipe was measured on; the rows hold these only. */
  readonly tasks: number;
  /** Kinds of task and how many of each. */
  readonly kinds: Readonly<Record<string, number>>;
  /** Recipe that differences are taken from: `large` when it is there, else the one of best quality. */
  readonly reference: string;
  readonly recipes: readonly RecipeSummary[];
  readonly frontier: Frontier;
}

/** Quality against what it costs. */
export interface Frontier {
  /** Dollars where any were spent, else joules, else milliseconds. */
  readonly unit: 'usd-per-1000' | 'joule' | 'millisecond';
  readonly points: readonly { readonly recipe: string; readonly cost: number; readonly quality: number; readonly low: number; readonly high: number; /** No other recipe, and no mixture of two, is better at this cost. */ readonly best: boolean }[];
}

/** Summarises. @param resamples of the bootstrap, default 1000 @returns recipes in the order of the header */
export function summarise(header: RunHeader, tasks: readonly LiveTask[], cells: readonly Cell[], about: { readonly finishedAt: string; readonly machine: string }, resamples = 1000): LiveReport {
  const byRecipe = new Map(header.recipes.map((recipe) => [recipe, new Map(cells.filter((cell) => cell.recipe === recipe).map((cell) => [cell.task, cell]))]));
  const common = tasks.filter(({ id }) => [...byRecipe.values()].every((own) => own.has(id)));
  const table = new Map([...byRecipe].map(([recipe, own]) => [recipe, common.map(({ id }) => own.get(id) as Cell)]));
  const reference = referenceOf(table);
  const hasLarge = header.team.members.some(({ roles }) => roles.includes('large'));
  const recipes = [...table].map(([recipe, own]) => rowOf(recipe, own, common, recipe === reference ? undefined : table.get(reference), { hasLarge, seed: header.seed, resamples }));
  const kinds: Record<string, number> = {};
  for (const { task } of common) kinds[task] = (kinds[task] ?? 0) + 1;
  return { header, ...about, tasks: common.length, kinds, reference, recipes, frontier: frontierOf(recipes) };
}

function referenceOf(table: ReadonlyMap<string, readonly Cell[]>): string {
  if (table.has('large')) return 'large';
  const means = [...table].map(([recipe, own]) => ({ recipe, quality: mean(own.map(({ quality }) => quality)) }));
  return means.sort((a, b) => b.quality - a.quality)[0]?.recipe ?? '';
}

function rowOf(recipe: string, cells: readonly Cell[], tasks: readonly LiveTask[], reference: readonly Cell[] | undefined, { hasLarge, seed, resamples }: { readonly hasLarge: boolean; readonly seed: number; readonly resamples: number }): RecipeSummary {
  const of = (pick: (cell: Cell) => number): number[] => cells.map(pick);
  const estimate = (values: readonly number[]): Estimate => ({ value: mean(values), ...interval(values.length, (rows) => meanAt(values, rows), seed, resamples) });
  const answered = cells.filter(({ error }) => error === undefined);
  const latencies = answered.map(({ latencyMs }) => latencyMs);
  const firsts = answered.flatMap(({ firstPartMs }) => (firstPartMs === null ? [] : [firstPartMs])).sort((a, b) => a - b);
  const sorted = Float64Array.from(latencies).sort();
  const errors: Record<string, number> = {};
  for (const { error } of cells) if (error !== undefined) errors[error] = (errors[error] ?? 0) + 1;
  const tokens = sum(of((cell) => cell.tokens));
  return {
    recipe,
    tasks: cells.length,
    failed: cells.length - answered.length,
    errors,
    cutOff: answered.filter(({ ended }) => !ended).length,
    quality: estimate(of((cell) => cell.quality)),
    qualityDifference: reference === undefined ? null : estimate(cells.map((cell, i) => cell.quality - (reference[i]?.quality ?? 0))),
    costUsdPer1000: estimate(of((cell) => 1000 * cell.costUsd)),
    priceKnown: cells.every(({ priceKnown }) => priceKnown),
    latencyP50Ms: { value: quantile(sorted, 0.5), ...interval(latencies.length, (rows) => quantile(Float64Array.from(rows, (row) => latencies[row] ?? 0).sort(), 0.5), seed, Math.min(resamples, 400)) },
    latencyP99Ms: quantile(sorted, 0.99),
    firstPartP50Ms: firsts.length === 0 ? null : quantile(firsts, 0.5),
    energyJ: estimate(of((cell) => cell.energyJ)),
    energySource: leastCertain(answered.filter(({ calls }) => calls > 0).map(({ energySource }) => energySource)),
    cloudBytes: estimate(of((cell) => cell.cloudBytesUp)),
    disclosedShare: mean(of((cell) => Number(cell.cloudCalls > 0))),
    hiddenValues: sum(of((cell) => cell.hiddenValues)),
    largeShare: hasLarge ? estimate(of((cell) => Number(cell.largeCalls > 0))) : null,
    largeTokenShare: hasLarge && tokens > 0 ? sum(of((cell) => cell.largeTokens)) / tokens : null,
    calls: sum(of((cell) => cell.calls)),
    tokens,
    byTask: Object.fromEntries([...new Set(tasks.map(({ task }) => task))].map((kind) => [kind, mean(cells.filter((_, i) => tasks[i]?.task === kind).map(({ quality }) => quality))])),
  };
}

function interval(n: number, figure: (rows: Uint32Array) => number, seed: number, resamples: number): Interval {
  return n === 0 ? { low: NaN, high: NaN } : bootstrap(n, figure, seed, resamples);
}

function leastCertain(sources: readonly Cell['energySource'][]): Cell['energySource'] {
  return (['unknown', 'estimated', 'measured'] as const).find((each) => sources.includes(each)) ?? 'unknown';
}

/** Quality against cost for all recipes; marks those on the upper convex hull. */
export function frontierOf(recipes: readonly RecipeSummary[]): Frontier {
  const unit = recipes.some(({ costUsdPer1000 }) => costUsdPer1000.value > 0) ? 'usd-per-1000' : recipes.some(({ energyJ }) => energyJ.value > 0) ? 'joule' : 'millisecond';
  const costOf = ({ costUsdPer1000, energyJ, latencyP50Ms }: RecipeSummary): number => (unit === 'usd-per-1000' ? costUsdPer1000.value : unit === 'joule' ? energyJ.value : latencyP50Ms.value);
  const hull = frontier(recipes.map((each) => ({ costUsd: costOf(each), quality: each.quality.value })));
  const points = recipes.map((each) => ({
    recipe: each.recipe,
    cost: costOf(each),
    quality: each.quality.value,
    low: each.quality.low,
    high: each.quality.high,
    best: hull.some(({ costUsd, quality }) => costUsd === costOf(each) && quality === each.quality.value),
  }));
  return { unit, points };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, each) => total + each, 0);
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? NaN : sum(values) / values.length;
}

function meanAt(values: readonly number[], rows: Uint32Array): number {
  let total = 0;
  for (const row of rows) total += values[row] ?? 0;
  return total / rows.length;
}
