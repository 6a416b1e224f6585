/**
 * The job file of a training run. Its fields, ranges and defaults stand in `trainer/job.schema.json`, which the trainer reads too;
 * the rules between fields stand here and in `tandem_trainer/job.py`. A test feeds the same jobs to both.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { fail } from '../errors.ts';

/** What the commands need of a job; the trainer reads the rest. */
export interface TrainingJob {
  readonly name: string;
  /** Folder that receives the checkpoint, relative to where the run starts. */
  readonly output: string;
  /** Optimiser steps. */
  readonly steps: number;
  readonly [field: string]: unknown;
}

/** A mistake in a job: where, what was expected, what came. */
export interface JobMistake {
  /** As `adapter.rank`; empty for the job itself. */
  readonly path: string;
  readonly message: string;
}

/** What an objective needs, as the schema's `$defs.objectives` states it. */
interface ObjectiveNeeds {
  readonly teachers: readonly [min: number, max: number];
  readonly reference: boolean;
  readonly data: 'rows' | 'prompts' | 'pairs';
}

interface JobSchemaFile {
  readonly $defs: { readonly objectives: Readonly<Record<string, { readonly 'x-needs': ObjectiveNeeds }>> };
}

/** Where the schema stands: beside the trainer, in the repository and in the package. */
export const jobSchemaPath: string = fileURLToPath(new URL('../../trainer/job.schema.json', import.meta.url));

interface Schemas {
  readonly job: z.ZodType;
  readonly options: ReadonlyMap<string, z.ZodType>;
  readonly needs: ReadonlyMap<string, ObjectiveNeeds>;
}

let read: Schemas | undefined;

function schemas(): Schemas {
  if (read !== undefined) return read;
  const file = JSON.parse(readFileSync(jobSchemaPath, 'utf8')) as JobSchemaFile;
  const { $defs, ...job } = file;
  const objectives = Object.entries($defs.objectives);
  read = {
    job: z.fromJSONSchema(job as Parameters<typeof z.fromJSONSchema>[0]),
    options: new Map(objectives.map(([name, { 'x-needs': _, ...schema }]) => [name, z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0])])),
    needs: new Map(objectives.map(([name, { 'x-needs': needs }]) => [name, needs])),
  };
  return read;
}

/** Everything wrong with a job; empty when the trainer takes it. @param raw parsed JSON */
export function jobMistakes(raw: unknown): readonly JobMistake[] {
  const { job, options, needs } = schemas();
  const parsed = job.safeParse(raw);
  if (!parsed.success) return mistakesOf(parsed.error, '');
  const given = raw as Record<string, unknown>;
  const objective = typeof given['objective'] === 'string' ? given['objective'] : 'cross_entropy';
  const checked = options.get(objective)?.safeParse(given['objective_options'] ?? {});
  if (checked !== undefined && !checked.success) return mistakesOf(checked.error, 'objective_options');
  return [...modelMistakes(given), ...objectiveMistakes(given, objective, needs.get(objective))];
}

function mistakesOf(error: { readonly issues: readonly z.core.$ZodIssue[] }, before: string): JobMistake[] {
  return error.issues.flatMap((issue): JobMistake[] => {
    const path = issue.path.reduce<string>((whole, part) => (typeof part === 'number' ? `${whole}[${part}]` : joined(whole, String(part))), before);
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ path: joined(path, key), message: 'expected a field of the schema, got an unknown one' }));
    // a value or null: what is wrong with the value
    const inner = issue.code === 'invalid_union' ? issue.errors.find((issues) => issues.some((each) => each.code !== 'invalid_type' || each.path.length > 0)) : undefined;
    return inner === undefined ? [{ path, message: issue.message }] : mistakesOf({ issues: inner }, path);
  });
}

function joined(path: string, field: string): string {
  return path === '' ? field : `${path}.${field}`;
}

function* modelMistakes(job: Readonly<Record<string, unknown>>): Generator<JobMistake> {
  if (!given(job['shape']) && !given(job['initial'])) yield { path: 'shape', message: 'expected sizes, or initial naming a model to start from, got neither' };
  if (given(job['adapter']) && !given(job['initial'])) yield { path: 'initial', message: 'expected a model for the adapter, got nothing' };
  if (given(job['shape'])) yield* shapeMistakes(job['shape'] as Readonly<Record<string, number>>);
}

function* shapeMistakes(shape: Readonly<Record<string, number>>): Generator<JobMistake> {
  const { width = 128, heads = 4, kv_heads: keyHeads = 4, ffn_width: units = 384 } = shape;
  if (width % 32 !== 0) yield { path: 'shape.width', message: `expected a multiple of 32, got ${width}` };
  if (units % 32 !== 0) yield { path: 'shape.ffn_width', message: `expected a multiple of 32, got ${units}` };
  if (width % heads !== 0 || (width / heads) % 2 !== 0) yield { path: 'shape.heads', message: `expected to divide width ${width} into even parts, got ${heads}` };
  if (heads % keyHeads !== 0) yield { path: 'shape.kv_heads', message: `expected to divide heads ${heads}, got ${keyHeads}` };
}

function* objectiveMistakes(job: Readonly<Record<string, unknown>>, objective: string, needs: ObjectiveNeeds | undefined): Generator<JobMistake> {
  if (needs === undefined) return;
  const several = (job['teachers'] as readonly string[] | undefined) ?? [];
  if (several.length > 0 && given(job['teacher'])) yield { path: 'teachers', message: 'expected either teacher or teachers, got both' };
  const count = several.length > 0 ? several.length : given(job['teacher']) ? 1 : 0;
  const [min, max] = needs.teachers;
  if (count < min) yield { path: min === 1 ? 'teacher' : 'teachers', message: `expected at least ${min} for the objective ${objective}, got ${count}` };
  if (count > max && objective !== 'cross_entropy') yield { path: 'teachers', message: `expected at most ${max} for the objective ${objective}, got ${count}` };
  if (needs.reference && !given(job['reference'])) yield { path: 'reference', message: `expected a model for the objective ${objective}, got nothing` };
  if (objective === 'stored_laws' && !given(job['laws'])) yield { path: 'laws', message: 'expected a store of laws for the objective stored_laws, got nothing' };
  const data = needs.data === 'pairs' ? 'pairs' : 'rows';
  if (!given(job[data])) yield { path: data, message: `expected a file for the objective ${objective}, got nothing` };
  if (data === 'pairs' && !given(job['tokenizer'])) yield { path: 'tokenizer', message: 'expected a tokenizer.json to read the pairs with, got nothing' };
  if (objective !== 'cross_entropy' && !((job['teacher_weight'] as number | undefined) ?? 0)) yield { path: 'teacher_weight', message: `expected a number over 0 for the objective ${objective}, got ${job['teacher_weight'] ?? 'nothing'}` };
}

function given(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

/** Reads and checks a job file. @throws {TandemError} job_invalid, which names the fields */
export function readJob(path: string): TrainingJob {
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    if (cause instanceof SyntaxError) fail('job_invalid', { message: 'The job file is not valid JSON.', cause });
    fail('job_invalid', { message: 'The job file cannot be read: expected JSON at the path given.', cause });
  }
  const mistakes = jobMistakes(raw);
  const [first] = mistakes;
  if (first === undefined) return raw as TrainingJob;
  fail('job_invalid', { message: `The job has ${mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`}: ${mistakes.map((mistake) => `${mistake.path || 'job'}: ${mistake.message}`).join('; ')}.`, param: first.path });
}
