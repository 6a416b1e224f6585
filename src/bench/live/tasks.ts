/**
 * Tasks with a known answer: the bundled held-out ones, or a user's own as JSON lines (docs/bench.md): `{"id", "prompt" or
 * "messages", "expect", "check", "task"?, "grade"?, "tolerance"?, "tokensMax"?, "schema"?}`. A line whose check is `none` is passed over.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { fail } from '../../errors.ts';
import type { JsonSchema, Message } from '../../exchange.ts';
import { hashShare, textOf } from '../rows.ts';
import { checkSummaries, type CheckName, type Expected } from './checks.ts';

/** A request with its right answer. */
export interface LiveTask extends Expected {
  readonly id: string;
  /** Kind of task, such as `intent`; tables are broken down by it. */
  readonly task: string;
  readonly messages: readonly Message[];
  /** Answer tokens at most, where the task has its own limit. */
  readonly tokensMax?: number | undefined;
  /** The answer is asked for in this JSON Schema. */
  readonly schema?: JsonSchema | undefined;
}

const names = Object.keys(checkSummaries) as [CheckName, ...CheckName[]];

const lineSchema = z.object({
  id: z.union([z.string(), z.number()]).transform(String),
  task: z.string().default('task'),
  prompt: z.string().optional(),
  messages: z.array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })).min(1).optional(),
  expect: z.union([z.string(), z.number().transform(String), z.array(z.string()).min(1)]),
  check: z.enum(names),
  tolerance: z.number().min(0).optional(),
  tokensMax: z.number().int().min(1).optional(),
  schema: z.record(z.string(), z.unknown()).optional(),
});

/** Where the bundled tasks lie, in the repository and in the package. */
export const bundledTasks = fileURLToPath(new URL('../../../weights/evaluation/heldout.jsonl', import.meta.url));

/**
 * Reads tasks.
 * @param source `bundled`, or the path of a file of JSON lines, gzipped or not
 * @throws {TandemError} bench_data_invalid, naming line and field
 */
export function readTasks(source: string): LiveTask[] {
  if (source === 'bundled' && !existsSync(bundledTasks)) fail('bench_data_invalid', 'The bundled tasks (weights/evaluation/heldout.jsonl) are not there; give a file with --tasks.');
  const lines = textOf(source === 'bundled' ? bundledTasks : source).split('\n');
  const tasks = lines.flatMap((line, index) => (line.trim() === '' ? [] : taskOf(line, index + 1)));
  if (tasks.length === 0) fail('bench_data_invalid', 'The file holds no tasks that can be checked.');
  const seen = new Set<string>();
  for (const { id } of tasks) {
    if (seen.has(id)) fail('bench_data_invalid', `Two tasks have the same "id"; every task needs its own.`);
    seen.add(id);
  }
  return tasks;
}

function taskOf(line: string, number: number): LiveTask[] {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return fail('bench_data_invalid', `Line ${number} is not JSON.`);
  }
  if (typeof value === 'object' && value !== null && 'check' in value && value.check === 'none') return [];
  const result = lineSchema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    return fail('bench_data_invalid', `Line ${number}, field ${issue?.path.join('.') || '(task)'}: ${issue?.message ?? 'wrong'}.`);
  }
  const { prompt, messages, ...rest } = result.data;
  if (prompt === undefined && messages === undefined) return fail('bench_data_invalid', `Line ${number} has neither "prompt" nor "messages".`);
  return [{ ...rest, messages: messages ?? [{ role: 'user', content: prompt ?? '' }] }];
}

/** At most `limit` tasks, drawn by the hash of their ids and the seed; every kind of task keeps its share. In that order. */
export function drawTasks(tasks: readonly LiveTask[], limit: number | undefined, seed: number): LiveTask[] {
  const at = new Map(tasks.map((task) => [task, hashShare(task.id, `bench run|${seed}`)]));
  const mixed = [...tasks].sort((a, b) => (at.get(a) as number) - (at.get(b) as number));
  if (limit === undefined || limit >= tasks.length) return mixed;
  const counts = new Map<string, number>();
  for (const { task } of tasks) counts.set(task, (counts.get(task) ?? 0) + 1);
  // The n-th of a kind with m tasks stands at (n + a half) / m of the way; the first `limit` keep the shares.
  const position = new Map<LiveTask, number>();
  const reached = new Map<string, number>();
  for (const task of mixed) {
    const n = reached.get(task.task) ?? 0;
    reached.set(task.task, n + 1);
    position.set(task, (n + 0.5) / (counts.get(task.task) ?? 1));
  }
  const kept = new Set([...mixed].sort((a, b) => (position.get(a) as number) - (position.get(b) as number)).slice(0, limit));
  return mixed.filter((task) => kept.has(task));
}

/** What a run was measured on: the SHA-256 of the tasks, in their order. */
export function tasksDigest(tasks: readonly LiveTask[]): string {
  const hash = createHash('sha256');
  for (const task of tasks) hash.update(`${JSON.stringify(task)}\n`);
  return hash.digest('hex');
}
