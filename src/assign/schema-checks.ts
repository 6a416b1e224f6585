/**
 * Whether JSON satisfies a caller's schema. A schema can ask for any amount of work and memory (an expression that backtracks for years,
 * references that double at every step), so what is not plainly bounded is checked in a process of its own, one check after the other: each has its
 * time, and one that takes too much memory ends that process and no other. Most schemas are plain, and are checked in place.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { JsonSchema } from '../exchange.ts';
import type { Clock } from '../system/clock.ts';
import type { SchemaQuestion, SchemaReply } from './schema-process.ts';

/** What a check found: `undecided` when it took too long or too much memory. */
export type SchemaVerdict = Exclude<SchemaReply, 'ready'>;

/** Time of a check, the waiting for others included, in milliseconds. */
export const checkMsMax = 1_000;

/** Memory of the process for what lives on, in MiB. */
const heapMiB = 128;

/** Keywords that may ask for more than one visit of each place of the JSON by each place of the schema. */
const unbounded = /"(?:pattern|patternProperties|\$ref|\$dynamicRef|\$recursiveRef|uniqueItems)"/;

/** Up to so many characters of schema and JSON, a check by plain keywords takes some ten milliseconds at most. */
const plainSchemaMax = 8_192;
const plainJsonMax = 65_536;

interface Waiting {
  readonly schema: string;
  readonly json: string;
  readonly resolve: (verdict: SchemaVerdict) => void;
  /** When its time is over; unknown until the process is there. */
  dueMs: number | undefined;
}

/** Checks. The process behind them starts with the first that needs it, and keeps ours alive only while something is asked of it. */
export class SchemaChecks {
  readonly #clock: Clock;
  readonly #limitMs: number;
  /** In the order in which they were asked; the first one is with the process. */
  readonly #waiting: Waiting[] = [];
  #process: ChildProcess | undefined;
  #ready = false;

  /** @param clock where time comes from @param limitMs time of a check, in whole milliseconds */
  constructor(clock: Clock, limitMs: number = checkMsMax) {
    this.#clock = clock;
    this.#limitMs = limitMs;
  }

  /** Whether JSON satisfies a schema; a schema that cannot be compiled is satisfied by everything. @param json a text that is valid JSON */
  async check(schema: JsonSchema, json: string): Promise<SchemaVerdict> {
    const text = JSON.stringify(schema);
    if (text.length > plainSchemaMax || json.length > plainJsonMax || unbounded.test(text)) return this.#ask(text, json);
    const { checkOf } = await import('./schema-compiler.ts');
    const check = checkOf(text);
    return check === null || check(JSON.parse(json)) ? 'satisfied' : 'violated';
  }

  #ask(schema: string, json: string): Promise<SchemaVerdict> {
    return new Promise((resolve) => {
      const waiting: Waiting = { schema, json, resolve, dueMs: undefined };
      if (this.#ready) waiting.dueMs = this.#clock.monotonicMs() + this.#limitMs;
      if (this.#waiting.push(waiting) > 1) return;
      if (this.#process === undefined) this.#start();
      else if (this.#ready) this.#askNext();
      this.#keepAlive(true);
    });
  }

  #start(): void {
    const file = import.meta.url.endsWith('.ts') ? './schema-process.ts' : './schema-process.js';
    const child = fork(fileURLToPath(new URL(file, import.meta.url)), { execArgv: [`--max-old-space-size=${heapMiB}`], env: {}, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    this.#process = child;
    child.on('message', (reply: SchemaReply) => (reply === 'ready' ? this.#begin() : this.#settle(reply)));
    const fallen = (): void => {
      if (child !== this.#process) return;
      this.#process = undefined;
      this.#ready = false;
      // What it was working on brought it down.
      this.#settle('undecided');
    };
    child.on('error', fallen);
    child.on('exit', fallen);
  }

  /** The time that the process took to start is nobody's. */
  #begin(): void {
    this.#ready = true;
    const dueMs = this.#clock.monotonicMs() + this.#limitMs;
    for (const waiting of this.#waiting) waiting.dueMs ??= dueMs;
    this.#askNext();
  }

  #askNext(): void {
    const nowMs = this.#clock.monotonicMs();
    while ((this.#waiting[0]?.dueMs ?? Infinity) <= nowMs) this.#waiting.shift()?.resolve('undecided');
    const [next] = this.#waiting;
    if (next === undefined) return this.#keepAlive(false);
    if (this.#process === undefined) return this.#start();
    const { schema, json, dueMs = nowMs + this.#limitMs } = next;
    this.#process.send({ schema, json, leftMs: Math.ceil(dueMs - nowMs) } satisfies SchemaQuestion);
  }

  #settle(verdict: SchemaVerdict): void {
    this.#waiting.shift()?.resolve(verdict);
    this.#askNext();
  }

  #keepAlive(working: boolean): void {
    const child = this.#process;
    if (working) {
      child?.ref();
      child?.channel?.ref();
    } else {
      child?.unref();
      child?.channel?.unref();
    }
  }
}
