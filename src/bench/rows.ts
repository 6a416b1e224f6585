/**
 * Rows: what routing is measured and trained on. One row is one prompt with how good each member's answer was. The file
 * format is JSON lines, gzipped or not: `{"id": "...", "prompt": "...", "correct": {"small": 1, "large": 0.5}, "answers":
 * {"small": "..."}, "cost": {"small": 0.0001}, "latencyMs": {"small": 120}}`; the last three are optional.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { fail } from '../errors.ts';

const numbers = z.record(z.string(), z.number());

/** The shape of a line. */
export const rowSchema = z.object({
  id: z.union([z.string(), z.number()]).transform(String),
  prompt: z.string(),
  /** Member to the text of its answer. */
  answers: z.record(z.string(), z.string()).optional(),
  /** Member to the quality of its answer, 0 to 1. */
  correct: z.record(z.string(), z.union([z.number().min(0).max(1), z.boolean()]).transform(Number)),
  /** Member to dollars of its call. */
  cost: numbers.optional(),
  latencyMs: numbers.optional(),
  /** Metric to member to quality, 0 to 1; for routers of several metrics. */
  metrics: z.record(z.string(), z.record(z.string(), z.number().min(0).max(1))).optional(),
  /** Messages before the prompt, for routers that decide turn by turn. */
  history: z.array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })).optional(),
  /** Member to the score of its answer's acceptance test, 0 to 1; for cascades. */
  scores: z.record(z.string(), z.number().min(0).max(1)).optional(),
  /** Subject or task, where a set has one. Used by the category baseline only, never by a router. */
  category: z.string().optional(),
});

/** One prompt and what the members made of it. */
export type Row = z.infer<typeof rowSchema>;

/**
 * Rows of a JSON-lines file, gzipped or not.
 * @throws {TandemError} bench_data_invalid: no such file, no JSON, or a field is wrong (the message names the line)
 */
export function readRows(path: string): Row[] {
  const lines = textOf(path).split('\n');
  return lines.flatMap((line, index) => (line.trim() === '' ? [] : parseRow(line, index + 1)));
}

/** Text of a file, gunzipped when its name ends in .gz. @throws {TandemError} bench_data_invalid */
export function textOf(path: string): string {
  try {
    const bytes = readFileSync(path);
    return (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString('utf8');
  } catch (cause) {
    return fail('bench_data_invalid', { message: 'The file of rows could not be read.', cause });
  }
}

function parseRow(line: string, number: number): Row {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return fail('bench_data_invalid', `Line ${number} is not JSON.`);
  }
  const result = rowSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  return fail('bench_data_invalid', `Line ${number}, field ${issue?.path.join('.') || '(row)'}: ${issue?.message ?? 'wrong'}.`);
}

/** Members that have a quality in every row, in the order of the first row. */
export function membersOf(rows: readonly Row[]): string[] {
  return Object.keys(rows[0]?.correct ?? {}).filter((member) => rows.every((row) => row.correct[member] !== undefined));
}

/** Quality of one member's answer in each row. @throws {TandemError} bench_data_invalid when a row lacks it */
export function qualityOf(rows: readonly Row[], member: string): Float64Array {
  return Float64Array.from(rows, (row) => row.correct[member] ?? fail('bench_data_invalid', `A row has no "correct" for the member "${member}". Members: ${Object.keys(row.correct).slice(0, 12).join(', ')}.`));
}

/** A number in [0, 1) that depends on the id and the salt alone: what splits are made of. */
export function hashShare(id: string, salt: string): number {
  return createHash('sha256').update(`${salt}\n${id}`).digest().readUInt32BE(0) / 2 ** 32;
}

/** Which of k folds each row belongs to, by the hash of its prompt: equal prompts never stand on both sides. */
export function foldsOf(rows: readonly Row[], k: number, salt: string): Uint8Array {
  return Uint8Array.from(rows, (row) => Math.floor(hashShare(row.prompt === '' ? row.id : row.prompt, salt) * k));
}

/** The first `count` rows in the order of their hash, and the rest without the prompts of the first. */
export function drawLabels(rows: readonly Row[], count: number, salt: string): { readonly train: number[]; readonly test: number[] } {
  const order = rows.map((row, index) => ({ index, at: hashShare(row.id, salt) })).sort((a, b) => a.at - b.at);
  const train = order.slice(0, count).map(({ index }) => index);
  const seen = new Set(train.map((index) => rows[index]?.prompt));
  return { train, test: order.slice(count).map(({ index }) => index).filter((index) => rows[index]?.prompt === '' || !seen.has(rows[index]?.prompt)) };
}
