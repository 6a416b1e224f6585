/**
 * What the main thread and the engine thread say to each other. Plain data; structured cloning carries it.
 *
 * `Ask` messages get exactly one `Reply`. A `run` gets events until its end. `cancel` may come at any time, also for runs
 * that have ended.
 */
import { TandemError, type ErrorCode } from '../../errors.ts';
import type { ShapeSettings } from '../../decoding/settings.ts';

/** What the engine thread needs to open a model. */
export interface OpenSettings {
  /** Real path of the GGUF file. */
  readonly file: string;
  readonly contextTokensMax?: number;
  readonly sequencesMax: number;
  readonly threads: number;
  readonly gpuLayers: number;
  readonly embeddings: boolean;
  /** Keys and values in 32 bits and plain attention, for checks against other programs. Default: as fast as it goes. */
  readonly exact?: boolean;
  /** By key: a name, with a number where the file of a name has been changed. */
  readonly adapters: Readonly<Record<string, { readonly file: string; readonly scale: number }>>;
}

/** What is known of an open model. */
export interface OpenedModel {
  /** Names the model in later messages. */
  readonly handle: number;
  readonly contextTokensMax: number;
  readonly vocabularySize: number;
  /** Hash over the pieces. */
  readonly vocabularyHash: string;
  /** Texts of control and user-defined tokens, which are tokens only where the template writes them. */
  readonly specialTexts: readonly string[];
  /** Jinja template, where the file has one. */
  readonly chatTemplate?: string;
  readonly beginText: string;
  readonly endText: string;
  /** Bytes of text that a token stands for at most. */
  readonly bytesPerTokenMax: number;
  /** Whether the tokenizer itself puts a begin token first. */
  readonly addsBegin: boolean;
  /** Length of its vectors, with `embeddings`. */
  readonly embeddingDimensions?: number;
  /** Writes text (not an encoder only). */
  readonly writes: boolean;
  /** Prefixes can be cut back and forked (not so for recurrent models). */
  readonly rollsBack: boolean;
  /** Number of weights. */
  readonly parameters: number;
  /** Sampling settings that the file recommends. */
  readonly defaults: Partial<ShapeSettings>;
}

/** A piece of text to tokenize; special tokens are recognised only where it says so. */
export interface TextPiece {
  readonly text: string;
  readonly special: boolean;
}

/** A run of a token program. Models by handle. */
export interface RunMessage {
  readonly type: 'run';
  readonly run: number;
  readonly program: string;
  readonly roles: Readonly<Record<string, number>>;
  readonly args: unknown;
  readonly seed: number;
  readonly adapters: Readonly<Record<string, string>>;
  readonly cells: Readonly<Record<string, number>>;
}

/** Questions with their answers. */
export interface Asks {
  open: { readonly ask: OpenSettings; readonly reply: OpenedModel };
  close: { readonly ask: { readonly handle: number }; readonly reply: null };
  /** Loads adapters and forgets those that are not named any more, once nothing runs with them. A key always means the same file. */
  adapters: { readonly ask: { readonly handle: number; readonly adapters: OpenSettings['adapters'] }; readonly reply: null };
  tokenize: { readonly ask: { readonly handle: number; readonly pieces: readonly TextPiece[]; readonly begin: boolean }; readonly reply: number[] };
  detokenize: { readonly ask: { readonly handle: number; readonly tokens: readonly number[] }; readonly reply: string };
  embed: { readonly ask: { readonly handle: number; readonly run: number; readonly adapter: string; readonly texts: readonly (readonly number[])[] }; readonly reply: Float32Array[] };
  'session-open': { readonly ask: { readonly handle: number; readonly run: number; readonly adapter?: string; readonly law: SharedArrayBuffer }; readonly reply: null };
  'session-append': { readonly ask: { readonly run: number; readonly tokens: readonly number[] }; readonly reply: number };
  'session-rollback': { readonly ask: { readonly run: number; readonly length: number }; readonly reply: null };
  'session-fork': { readonly ask: { readonly run: number; readonly fork: number; readonly law: SharedArrayBuffer }; readonly reply: null };
  /** What the engine holds, for tests and `tandem doctor`. */
  state: { readonly ask: null; readonly reply: EngineState };
}

/** What the engine thread holds. */
export interface EngineState {
  readonly models: number;
  readonly contexts: number;
  readonly running: number;
  readonly queued: number;
  /** Prefixes kept for reuse, over all models. */
  readonly prefixes: number;
}

/** To the engine thread. */
export type ToEngine =
  | { [K in keyof Asks]: { readonly type: K; readonly call: number; readonly ask: Asks[K]['ask'] } }[keyof Asks]
  | RunMessage
  | { readonly type: 'cancel'; readonly run: number };

/** An error on its way between threads. */
export interface CarriedError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly param?: string;
  /** Text of the cause, for the log. */
  readonly cause?: string;
}

/** Events of one run, and how it ended if it did. */
export interface RunReport {
  readonly run: number;
  readonly events: readonly unknown[];
  /** Whether the run has ended. */
  readonly end: boolean;
  /** Why it ended early, if it did. */
  readonly error: CarriedError | undefined;
}

/** From the engine thread. */
export type FromEngine =
  | { readonly type: 'ready' }
  | { readonly type: 'unavailable'; readonly error: CarriedError }
  | { readonly type: 'reply'; readonly call: number; readonly value: unknown }
  | { readonly type: 'failed'; readonly call: number; readonly error: CarriedError }
  | { readonly type: 'reports'; readonly reports: readonly RunReport[] };

/**
 * Words of the memory that both threads share. A computation is stopped by the flag; beside it how many runs it serves, and which. `sent`
 * counts the messages to the engine, after each was sent: a thread that computes sees by it, at no cost, whether there is one to take.
 */
export const sharedWords = { flag: 0, count: 1, sent: 2, runs: 3, runsMax: 61 } as const;

/** Packs an error for the other thread. */
export function packError(error: unknown): CarriedError {
  const { code, message, param, cause } = TandemError.from(error);
  return { code, message, ...(param === undefined ? {} : { param }), ...(cause === undefined ? {} : { cause: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) }) };
}

/** Makes the error of the other thread one of this thread. */
export function unpackError(carried: CarriedError): TandemError {
  const { code, message, param, cause } = carried;
  return new TandemError(code, { message, ...(param === undefined ? {} : { param }), ...(cause === undefined ? {} : { cause }) });
}
