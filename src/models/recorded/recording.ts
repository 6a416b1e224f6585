/**
 * A recording: a file of JSON Lines with answers that real models gave, found again by their prompt.
 *
 * Opening reads the file once, checks every row and keeps for each only hashes of its prompt, its place and its length,
 * less than 100 bytes; answers are read from the file when they are asked for.
 *
 * A prompt is found by all of its messages. One that is not recorded is found by its last user message, among the rows that have no
 * earlier turns: an answer of another conversation is never given.
 *
 * A row: {"prompt": "…", which is one user message, or "messages": [{"role", "content"}…], "answer": "…", "member"?: "…", "correct"?: 0 to 1 or a
 * boolean, "promptTokens"?, "completionTokens"?, "tokens"?: [{"text", "logprob", "top"?: [{"text", "logprob"}…]}…]}.
 * Rows with the same prompt are several answers to it, the first one its greedy one.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { fail } from '../../errors.ts';
import type { EmittedToken } from '../../exchange.ts';

/** A recorded answer. */
export interface RecordedAnswer {
  readonly answer: string;
  readonly correct?: number;
  readonly promptTokens?: number;
  readonly completionTokens?: number;
  readonly tokens?: readonly EmittedToken[];
}

/** What is known of the whole file. */
export interface RecordingFacts {
  readonly rows: number;
  /** Whether every row has tokens with log-probabilities. */
  readonly logprobs: boolean;
  /** Most alternatives of any token. */
  readonly topLogprobsMax: number;
}

/** A message of a prompt. */
export interface AskedMessage {
  readonly role: string;
  readonly content: string;
}

interface Row extends RecordedAnswer {
  /** By which it is found. */
  readonly keys: readonly string[];
  readonly member: string | undefined;
}

/** An open recording. */
export class Recording {
  readonly facts: RecordingFacts;
  readonly #file: FileHandle;
  /** Row numbers by the hash of their prompt; a list where several rows share it. */
  readonly #rows: ReadonlyMap<number, number | number[]>;
  readonly #starts: Float64Array;
  readonly #lengths: Uint32Array;

  constructor(file: FileHandle, rows: ReadonlyMap<number, number | number[]>, starts: Float64Array, lengths: Uint32Array, facts: RecordingFacts) {
    this.#file = file;
    this.#rows = rows;
    this.#starts = starts;
    this.#lengths = lengths;
    this.facts = facts;
  }

  /** The `sample`-th answer to a prompt, counted round; undefined when there is none. @param messages with a user message among them */
  async find(messages: readonly AskedMessage[], sample: number): Promise<RecordedAnswer | undefined> {
    for (const key of [wholeKey(messages), lastKey(messages)]) {
      const found = this.#rows.get(hashOf(key));
      if (found === undefined) continue;
      const numbers = typeof found === 'number' ? [found] : found;
      for (let tried = 0; tried < numbers.length; tried++) {
        const row = await this.#read(numbers[(sample + tried) % numbers.length] ?? 0);
        if (row.keys.includes(key)) return row;
      }
    }
    return undefined;
  }

  /** Closes the file. */
  close(): Promise<void> {
    return this.#file.close();
  }

  async #read(number: number): Promise<Row> {
    const bytes = Buffer.alloc(this.#lengths[number] ?? 0);
    const { bytesRead } = await this.#file.read(bytes, 0, bytes.length, this.#starts[number] ?? 0);
    const row = bytesRead === bytes.length ? rowOf(bytes.toString('utf8')) : 'cut';
    return typeof row === 'string' ? fail('model_file_invalid', 'The recording changed while it was open.') : row;
  }
}

/**
 * Opens a recording.
 * @param path of the file @param member which member's rows to keep; default all, when the file has one member only
 * @throws {TandemError} model_file_missing, model_file_invalid (names the line), config_invalid (several members, none chosen)
 */
export async function openRecording(path: string, member: string | undefined): Promise<Recording> {
  const file = await open(path, 'r').catch((cause: unknown) => fail('model_file_missing', { message: 'The file of the recorded member cannot be read.', cause }));
  try {
    return await indexed(file, member);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function indexed(file: FileHandle, member: string | undefined): Promise<Recording> {
  const rows = new Map<number, number | number[]>();
  const starts: number[] = [];
  const lengths: number[] = [];
  const members = new Set<string>();
  let logprobs = true;
  let topLogprobsMax = 0;
  let line = 0;
  for await (const { start, text, bytes } of linesOf(file)) {
    line++;
    if (text.trim() === '') continue;
    const row = rowOf(text);
    if (typeof row === 'string') fail('model_file_invalid', `Line ${line} of the recording: expected ${row}.`);
    if (row.member !== undefined) members.add(row.member);
    if (member !== undefined && row.member !== undefined && row.member !== member) continue;
    logprobs &&= row.tokens?.every((token) => token.logprob !== undefined) ?? false;
    for (const token of row.tokens ?? []) topLogprobsMax = Math.max(topLogprobsMax, token.top?.length ?? 0);
    for (const hash of row.keys.map(hashOf)) {
      const known = rows.get(hash);
      if (Array.isArray(known)) known.push(starts.length);
      else rows.set(hash, known === undefined ? starts.length : [known, starts.length]);
    }
    starts.push(start);
    lengths.push(bytes);
  }
  if (member === undefined && members.size > 1) fail('config_invalid', `The recording holds ${members.size} members: expected one of ${[...members].slice(0, 20).join(', ')} as "member", got nothing.`);
  if (starts.length === 0) fail('model_file_invalid', member === undefined ? 'The recording has no rows.' : `The recording has no rows of the member "${member}".`);
  return new Recording(file, rows, Float64Array.from(starts), Uint32Array.from(lengths), { rows: starts.length, logprobs, topLogprobsMax: logprobs ? topLogprobsMax : 0 });
}

async function* linesOf(file: FileHandle): AsyncGenerator<{ start: number; bytes: number; text: string }, void, undefined> {
  let held: Buffer[] = [];
  let start = 0;
  let at = 0;
  for await (const chunk of file.createReadStream({ autoClose: false, highWaterMark: 1_048_576 }) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      const line = held.length === 0 ? chunk.subarray(from, end) : Buffer.concat([...held, chunk.subarray(from, end)]);
      yield { start, bytes: line.length, text: line.toString('utf8') };
      held = [];
      from = end + 1;
      start = at + from;
    }
    if (from < chunk.length) held.push(chunk.subarray(from));
    at += chunk.length;
  }
  const rest = Buffer.concat(held);
  if (rest.length > 0) yield { start, bytes: rest.length, text: rest.toString('utf8') };
}

/** The row of a line, or what was expected of it. */
function rowOf(line: string): Row | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'JSON';
  }
  if (typeof value !== 'object' || value === null) return 'a JSON object';
  const { prompt, messages, answer, member, correct, promptTokens, completionTokens, tokens } = value as Record<string, unknown>;
  const asked = typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : messagesOf(messages);
  if (asked === undefined) return '"prompt" (a text) or "messages" with a user message';
  if (typeof answer !== 'string') return '"answer" (a text)';
  const score = typeof correct === 'boolean' ? Number(correct) : correct;
  if (score != null && !(typeof score === 'number' && score >= 0 && score <= 1)) return '"correct" from 0 to 1';
  const read = tokens == null ? undefined : tokensOf(tokens);
  if (read === null || (read !== undefined && read.map((token) => token.text).join('') !== answer)) return '"tokens" with "text" and "logprob" that spell the answer';
  return {
    keys: asked.filter(({ role }) => role !== 'system').length > 1 ? [wholeKey(asked)] : [wholeKey(asked), lastKey(asked)],
    member: typeof member === 'string' ? member : undefined,
    answer,
    ...(typeof score === 'number' ? { correct: score } : {}),
    ...(typeof promptTokens === 'number' ? { promptTokens } : {}),
    ...(typeof completionTokens === 'number' ? { completionTokens } : {}),
    ...(read === undefined ? {} : { tokens: read }),
  };
}

/** Messages as a row has them, contents that are no texts as JSON; undefined unless the last one of the user is a text. */
function messagesOf(value: unknown): readonly AskedMessage[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const all = value as readonly ({ role?: unknown; content?: unknown } | null)[];
  if (typeof all.findLast((message) => message?.role === 'user')?.content !== 'string') return undefined;
  return all.map((message) => ({ role: String(message?.role), content: typeof message?.content === 'string' ? message.content : JSON.stringify(message?.content ?? '') }));
}

function wholeKey(messages: readonly AskedMessage[]): string {
  return JSON.stringify(messages.map(({ role, content }) => [role === 'developer' ? 'system' : role, content.trim()]));
}

function lastKey(messages: readonly AskedMessage[]): string {
  return messages.findLast(({ role }) => role === 'user')?.content.trim() ?? '';
}

function tokensOf(value: unknown): EmittedToken[] | null {
  if (!Array.isArray(value)) return null;
  const tokens: EmittedToken[] = [];
  for (const item of value as readonly unknown[]) {
    const { text, logprob, top } = (item ?? {}) as Record<string, unknown>;
    if (typeof text !== 'string') return null;
    const others = Array.isArray(top) ? top.flatMap((other: { text?: unknown; logprob?: unknown } | null) => (typeof other?.text === 'string' && typeof other.logprob === 'number' ? [{ text: other.text, logprob: other.logprob }] : [])) : [];
    tokens.push({ text, ...(typeof logprob === 'number' ? { logprob } : {}), ...(others.length === 0 ? {} : { top: others.sort((a, b) => b.logprob - a.logprob) }) });
  }
  return tokens;
}

/** The first 48 bits of SHA-256. Rows are compared in full when read, so a clash costs a read, not a wrong answer. */
function hashOf(key: string): number {
  return createHash('sha256').update(key).digest().readUIntBE(0, 6);
}
