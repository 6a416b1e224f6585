/**
 * The process in which JSON is checked against callers' schemas. Speaks the messages of `schema-checks.ts`: one answer to each question, in
 * order. It ends with its parent, and holds nothing that a schema could want.
 */
import { Script } from 'node:vm';
import { Ajv } from 'ajv';

/** What the process is asked: both as JSON text. */
export interface SchemaQuestion {
  readonly schema: string;
  readonly json: string;
  /** Time for the answer, in milliseconds, at least 1. */
  readonly leftMs: number;
}

/** What the process says: that it takes questions, and an answer to each. */
export type SchemaReply = 'ready' | 'satisfied' | 'violated' | 'undecided';

type Check = (value: unknown) => boolean;

/** Schemas that are kept compiled, and how long they may be, in characters: as much as the memory holds with ease. */
const keptMax = 32;
const keptCharactersMax = 65_536;

/** Compiled schemas by their text, the one used last at the end; null for one that cannot be compiled. */
const compiled = new Map<string, Check | null>();

function checkOf(schema: string): Check | null {
  const known = compiled.get(schema);
  const check = known === undefined ? compile(schema) : known;
  if (schema.length > keptCharactersMax) return check;
  compiled.delete(schema);
  compiled.set(schema, check);
  for (const oldest of compiled.keys()) {
    if (compiled.size <= keptMax) break;
    compiled.delete(oldest);
  }
  return check;
}

function compile(schema: string): Check | null {
  try {
    return new Ajv({ strict: false, validateFormats: false, logger: false }).compile(JSON.parse(schema)) as Check;
  } catch {
    return null;
  }
}

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
