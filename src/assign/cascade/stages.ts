/**
 * A budget over the stages of one task (row 153 of the list of systems): each stage offers ways (a member, a number of
 * samples) with a chance to succeed and a cost; the choice for all stages that makes the whole most likely to succeed within
 * the budget. Exact: partial choices are kept as long as no other is both cheaper and better. The stages of a kind of task, and
 * what each way was measured to give, are a file; the recipe `cascade` runs it (knob `stages`).
 *
 * Source: AgentTTS (arXiv:2508.00890) for the problem; it searches with a model, which is not needed when the ways are measured.
 */

import { z } from 'zod';
import { fail } from '../../errors.ts';

/** A way to do a stage. */
export interface Way {
  /** Chance that the stage succeeds, 0 to 1. */
  readonly quality: number;
  readonly cost: number;
}

/** A choice for every stage. */
export interface Allocation {
  /** Number of the chosen way, stage by stage. */
  readonly ways: readonly number[];
  /** Product of the chances: stages are taken to fail independently. */
  readonly quality: number;
  readonly cost: number;
}

/** The best choice within the budget; undefined when even the cheapest ways cost more. */
export function allocate(stages: readonly (readonly Way[])[], budget: number): Allocation | undefined {
  let kept: Allocation[] = [{ ways: [], quality: 1, cost: 0 }];
  for (const ways of stages) {
    const grown = kept.flatMap((each) => ways.map((way, i) => ({ ways: [...each.ways, i], quality: each.quality * way.quality, cost: each.cost + way.cost })));
    kept = undominated(grown.filter(({ cost }) => cost <= budget * (1 + 1e-12)));
  }
  return kept.at(-1);
}

/** The choices that no other beats in both, cheapest first; qualities rise. */
export function undominated(all: readonly Allocation[]): Allocation[] {
  const kept: Allocation[] = [];
  for (const each of [...all].sort((a, b) => a.cost - b.cost || b.quality - a.quality)) if (each.quality > (kept.at(-1)?.quality ?? -1)) kept.push(each);
  return kept;
}

const wayShape = z.strictObject({
  /** Role or id of the member. */
  member: z.string().min(1).max(64),
  samples: z.number().int().min(1).max(16),
  /** Chance that the stage succeeds, 0 to 1. */
  quality: z.number().min(0).max(1),
  /** Mean cost of the stage, in the file's unit. */
  cost: z.number().min(0),
});

const stageShape = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/),
  /** What the member is told beside the request and what earlier stages found. */
  instruction: z.string().min(1).max(4_000),
  /** Rows that the ways were measured on. */
  rows: z.number().int().min(0),
  ways: z.array(wayShape).min(1).max(32),
});

const stagesShape = z.strictObject({
  kind: z.literal('tandem-stages'),
  version: z.literal(1),
  /** ISO 8601 date of the last measurement. */
  date: z.string(),
  /** What costs are in: dollars or milliseconds. */
  unit: z.enum(['usd', 'ms']),
  stages: z.array(stageShape).min(1).max(8),
});

/** The stages of a kind of task, in order, and the measured ways of each. */
export type StagesFile = z.infer<typeof stagesShape>;

/** One stage. */
export type Stage = StagesFile['stages'][number];

/** The file's text. */
export function encodeStages(file: StagesFile): string {
  return `${JSON.stringify(file, null, 2)}\n`;
}

/** Checks what a file holds. @throws {TandemError} router_file_invalid */
export function stagesOf(value: unknown): StagesFile {
  const read = stagesShape.safeParse(value);
  if (!read.success) return fail('router_file_invalid', `The file of stages is damaged or of another version: field ${read.error.issues[0]?.path.join('.') || '(file)'}.`);
  const names = read.data.stages.map(({ name }) => name);
  if (new Set(names).size < names.length) fail('router_file_invalid', 'Two stages of the file have one name.');
  return read.data;
}
