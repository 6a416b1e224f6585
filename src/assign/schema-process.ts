/**
 * The process in which JSON is checked against callers' schemas. Speaks the messages of `schema-checks.ts`: one answer to each question, in
 * order. It ends with its parent, and holds nothing that a schema could want.
 */
import { Script } from 'node:vm';
import { checkOf } from './schema-compiler.ts';

/** What the process is asked: both as JSON text. */
export interface SchemaQuestion {
  readonly schema: string;
  readonly json: string;
  /** Time for the answer, in milliseconds, at least 1. */
  readonly leftMs: number;
}

/** What the process says: that it takes questions, and an answer to each. */
export type SchemaReply = 'ready' | 'satisfied' | 'violated' | 'undecided';

function answer({ schema, json }: SchemaQuestion): SchemaReply {
  const check = checkOf(schema);
  return check === null || check(JSON.parse(json)) ? 'satisfied' : 'violated';
}

/** Calls the function that the global `work` holds: only a script can be given a time. */
const timed = new Script('work()');

function timedAnswer(question: SchemaQuestion): SchemaReply {
  try {
    Object.assign(globalThis, { work: () => answer(question) });
    return timed.runInThisContext({ timeout: question.leftMs }) as SchemaReply;
  } catch {
    return 'undecided'; // the time is over, or references without end have filled the stack
  }
}

// Ctrl-C goes to both; the parent may have answers to finish, and its end is ours.
process.on('SIGINT', () => undefined);
process.on('message', (question: SchemaQuestion) => process.send?.(timedAnswer(question)));
process.send?.('ready' satisfies SchemaReply);
