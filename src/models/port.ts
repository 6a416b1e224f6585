/**
 * The model port: what anything that answers looks like to the rest of Tandem.
 *
 * A model declares the levels it offers (L0 text, L1 log-probabilities, L2 scoring, L3 whole laws with fork and
 * rollback, Emb vectors) and implements the methods of those levels. Nothing here knows recipes or privacy; the place
 * of a model decides, at compile time, what text it accepts.
 */
import type { AnswerFormat, EmittedToken, FinishReason, Place, PromptFor, Sampling, TextFor } from '../exchange.ts';
import type { AnswerArgs } from '../decoding/answer.ts';
import type { TokenHost } from '../decoding/program.ts';

/** What a model can do. L0 text; L1 log-probabilities; L2 scoring; L3 whole laws, fork, rollback; L4 internals; L5 gradients; Emb vectors. */
export type Level = 'L0' | 'L1' | 'L2' | 'L3' | 'L4' | 'L5' | 'Emb';

/** What a model offers, beyond its methods. */
export interface Abilities {
  readonly levels: readonly Level[];
  readonly tools: boolean;
  /** Answer formats that are enforced, not merely asked for. */
  readonly formats: readonly AnswerFormat['type'][];
  /** Alternatives per token that can be reported; 0 without L1. */
  readonly topLogprobsMax: number;
  /** Sampling fields that are honoured. */
  readonly sampling: readonly (keyof Sampling)[];
  /** Whether an answer can be made to continue `prompt.prefix`. */
  readonly continuesPrefix: boolean;
  /** Takes pictures, sound or files in messages. */
  readonly attachments: boolean;
  /** Prompt and answer tokens together, where known. */
  readonly contextTokensMax?: number;
  /** Equal for models whose token ids mean the same text: a hash over the pieces. Absent where unknown. */
  readonly vocabulary?: string;
  /** Length of the vectors of `embed`. */
  readonly embeddingDimensions?: number;
}

/** What surrounds a call: how to stop it, and where to report. */
export interface Call {
  /** Aborting stops the work within 100 ms and frees what it held. */
  readonly signal: AbortSignal;
  /** Called when something worth a trace event happens (retry, queueing, prefix reuse). Optional. */
  readonly note?: (event: string, fields: Readonly<Record<string, string | number | boolean>>) => void;
  /** The caller needs no pieces, only the whole answer: an engine may fetch it in one go, which is cheaper. Default false. */
  readonly whole?: boolean;
  /** Another member can take over: the engine does not wait for as long as a server asks it to, but fails at once. Default false. */
  readonly replaceable?: boolean;
  /** Written by the engine while the call runs. Optional. */
  readonly traffic?: Traffic;
}

/** What a call has put on the line so far, and what may have come of it: for the books of calls that are broken off. */
export interface Traffic {
  /** Bytes sent to and received from the model's server, over all attempts; 0 in process. */
  bytesUp: number;
  bytesDown: number;
  /**
   * What the model may have done that will be charged for. `none`: nothing was handed to it, or it refused. `seen`: it has the prompt, and what it
   * wrote comes as it is written. `unseen`: it has the prompt, and its answer comes in one piece, of which nothing is known before.
   */
  work: 'none' | 'seen' | 'unseen';
}

/** What L0 is asked. */
export interface GenerateRequest<P extends Place> {
  readonly prompt: PromptFor<P>;
  readonly sampling: Sampling<TextFor<P>>;
  /** A LoRA adapter of the model's configuration to apply, by name. */
  readonly adapter?: string;
}

/** Tokens of a call. */
export interface TokenUsage {
  readonly promptTokens: number;
  /** Prompt tokens that were reused, not computed again. */
  readonly cachedPromptTokens?: number;
  readonly completionTokens: number;
  /** Completion tokens spent on hidden reasoning, where the server says so. */
  readonly reasoningTokens?: number;
}

/** A piece of a model's answer. Exactly one `finish` comes last, unless the call throws. */
export type ModelPart =
  | { readonly type: 'text'; readonly delta: string; readonly tokens?: readonly EmittedToken[]; readonly refusal?: true }
  | { readonly type: 'reasoning'; readonly delta: string }
  | { readonly type: 'tool-call'; readonly call: number; readonly id?: string; readonly name?: string; readonly argumentsDelta: string }
  | {
      readonly type: 'finish';
      readonly reason: FinishReason;
      readonly usage: TokenUsage;
      /** Bytes sent to and received from the model's server; 0 in process. */
      readonly bytesUp: number;
      readonly bytesDown: number;
      /** Correctness of a recorded answer, 0 to 1; only the `recorded` engine knows it. */
      readonly correct?: number;
    };

/** What L2 is asked: the log-probability of a continuation after a prompt, every token given. */
export interface ScoreRequest<P extends Place> {
  readonly prompt: PromptFor<P>;
  readonly continuation: TextFor<P>;
  /** Alternatives to report at each position, 0 to `abilities.topLogprobsMax`. Default 0. */
  readonly topLogprobs?: number;
}

/** A scored continuation. */
export interface Scored {
  /** One entry a token of the continuation, in order. */
  readonly tokens: readonly EmittedToken[];
  /** Sum of their log-probabilities. */
  readonly logprob: number;
  readonly usage: TokenUsage;
}

/** What Emb is asked. */
export interface EmbedRequest<P extends Place> {
  readonly texts: readonly TextFor<P>[];
  /** Keep only the first dimensions (and normalise again), where the model was trained for it. */
  readonly dimensions?: number;
}

/** Vectors, one a text, of unit length. */
export interface Embedded {
  readonly vectors: readonly Float32Array[];
  readonly usage: TokenUsage;
}

/**
 * An open prefix of an L3 model, for callers outside the engine's own thread. Recipes that work token by token use a
 * token program instead (`decoding/program.ts`), which runs beside the model.
 */
export interface Session {
  /** Tokens in the prefix. */
  readonly length: number;
  /** Appends tokens and returns the law after the last one: unnormalised logits, one a piece of the vocabulary. */
  append(tokens: readonly number[], signal?: AbortSignal): Promise<Float32Array>;
  /** Cuts the prefix back to its first `length` tokens. */
  rollback(length: number): Promise<void>;
  /** A second session with the same prefix, sharing its memory until they differ. It takes a place of the model like a request. @throws {TandemError} engine_out_of_memory when none is free */
  fork(): Promise<Session>;
  /** Frees the prefix. */
  close(): Promise<void>;
}

/** A model at place `P`. Methods of a level exist exactly when `abilities.levels` names it. */
export interface Model<P extends Place = Place> {
  /** Unique in the team. */
  readonly id: string;
  /** The engine's name: `llama`, `openai`, `ai-sdk`, `recorded`, `static`. */
  readonly engine: string;
  readonly place: P;
  readonly abilities: Abilities;
  /** Number of weights, where the engine knows; energy is estimated from it. */
  readonly parameters?: number;
  /** L0 (and L1, when `sampling.topLogprobs` is set). @throws {TandemError} upstream_*, engine_*, context_too_long, ability_missing, cancelled */
  generate(request: GenerateRequest<P>, call: Call): AsyncIterable<ModelPart>;
  /** L2. */
  score?(request: ScoreRequest<P>, call: Call): Promise<Scored>;
  /** L3, from outside the engine. */
  open?(call: Call): Promise<Session>;
  /** L3, inside the engine: where token programs run. Models with the same host object can work in one program. */
  readonly host?: TokenHost;
  /**
   * L3: the arguments with which a token program on `host` writes the answer that `generate` would: the prompt's tokens as
   * the chat template writes them, settings with the model's own defaults, a length that fits, the grammar of the format.
   * @throws {TandemError} context_too_long, schema_unsupported
   */
  answerArgs?(request: GenerateRequest<P>, signal: AbortSignal): Promise<AnswerArgs>;
  /** Token ids of a text, where the vocabulary is at hand. `special`: parse special tokens in the text. */
  tokenize?(text: string, options?: { readonly special?: boolean }): Promise<readonly number[]>;
  /** Text of token ids. */
  detokenize?(tokens: readonly number[]): Promise<string>;
  /** The prompt as the model's chat template writes it. */
  render?(prompt: PromptFor<P>): Promise<string>;
  /** Emb. */
  embed?(request: EmbedRequest<P>, call: Call): Promise<Embedded>;
  /** Whether the model can answer now; used by `/readyz` and `tandem doctor`. Resolves to the time it took. @throws {TandemError} why not */
  check(call: Call): Promise<{ readonly latencyMs: number }>;
  /** Frees everything. Safe to call twice. */
  close(): Promise<void>;
}
