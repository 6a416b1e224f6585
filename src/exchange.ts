/**
 * The value that travels with a request, one type for each state it passes through:
 *
 *   Received -> Admitted -> Guarded -> Veiled -> Answered -> Restored -> Audited
 *
 * Text that a `cloud` member may read has the type `MaskedText`. Only `privacy/` makes one. A cloud model's
 * port takes nothing else, so passing raw text to it does not compile (`test/types/place.types.ts` proves it).
 * Streams carry the state they have reached as a brand; a stage takes the state before its own and returns its own.
 */

import { mapList, mapSchema } from './schema-texts.ts';

/** Where a model runs and who can read what reaches it: this device, own machines, others' machines. */
export type Place = 'device' | 'edge' | 'cloud';

declare const masked: unique symbol;

/** Text in which every private value that was found is replaced by a placeholder. Made by `privacy/` alone. */
export type MaskedText = string & { readonly [masked]: true };

/** The text that a member at this place may read. */
export type TextFor<P extends Place> = P extends 'cloud' ? MaskedText : string;

/** A JSON Schema, as the caller sent it. */
export type JsonSchema = { readonly [key: string]: unknown };

/** A function that the model may call. */
export interface ToolDefinition<T extends string = string> {
  readonly name: string;
  readonly description?: T;
  /** JSON Schema of the arguments. */
  readonly parameters?: JsonSchema;
  readonly strict?: boolean;
}

/** A call of a function that a model asked for. */
export interface ToolCall<T extends string = string> {
  readonly id: string;
  readonly name: string;
  /** JSON text of the arguments, as the model wrote it. */
  readonly arguments: T;
}

/** A picture, sound or file in a message. Passed through to members that take it, never looked into. */
export interface Attachment {
  readonly type: 'image_url' | 'input_audio' | 'file';
  /** The part as the caller sent it, without hints. */
  readonly value: { readonly [key: string]: unknown };
}

/** One message of a conversation. */
export interface Message<T extends string = string> {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  /** The text; parts of a multi-part message are joined. Empty when the message only calls tools. */
  readonly content: T;
  readonly name?: string;
  /** Calls that an assistant message makes. */
  readonly toolCalls?: readonly ToolCall<T>[];
  /** The call that a tool message answers. */
  readonly toolCallId?: string;
  readonly attachments?: readonly Attachment[];
}

/**
 * What a model is asked. `T` says who may read it: a `Prompt<MaskedText>` may go anywhere, a `Prompt<string>` only to
 * `device` and `edge` members.
 */
export interface Prompt<T extends string = string> {
  readonly messages: readonly Message<T>[];
  /** Legacy completion: plain text to continue, without a chat template. `messages` is empty then. */
  readonly text?: T;
  readonly tools?: readonly ToolDefinition<T>[];
  readonly toolChoice?: 'none' | 'auto' | 'required' | { readonly name: string };
  readonly parallelToolCalls?: boolean;
  /** Text that the answer must continue; the model does not repeat it. */
  readonly prefix?: T;
}

/** A prompt that a member at place `P` may read. */
export type PromptFor<P extends Place> = Prompt<TextFor<P>>;

/** The form that the answer must have. `T` says who may read it, as in `Prompt`. */
export type AnswerFormat<T extends string = string> =
  | { readonly type: 'text' }
  | { readonly type: 'json' }
  | { readonly type: 'json-schema'; readonly name: string; readonly schema: JsonSchema; readonly strict: boolean }
  | { readonly type: 'grammar'; readonly gbnf: T };

/** How the answer is generated. An absent field means the model's own default. `T` says who may read its texts. */
export interface Sampling<T extends string = string> {
  /** Tokens of the answer at most; at least 1. */
  readonly tokensMax?: number;
  /** 0 to 2; 0 means greedy. */
  readonly temperature?: number;
  /** 0 to 1: the smallest set of tokens with this much probability. */
  readonly topP?: number;
  /** At least 1: only this many most likely tokens. */
  readonly topK?: number;
  /** 0 to 1: only tokens at least this fraction as likely as the most likely one. */
  readonly minP?: number;
  /** -2 to 2: subtracted from the logit of every token that has occurred in the answer. */
  readonly presencePenalty?: number;
  /** -2 to 2: subtracted once per occurrence in the answer. */
  readonly frequencyPenalty?: number;
  /** Above 0; 1 is none: divides positive and multiplies negative logits of tokens that have occurred. */
  readonly repetitionPenalty?: number;
  /** 32-bit integer: same seed, same answer, where the engine can. */
  readonly seed?: number;
  /** Token id to bias, -100 to 100, added to its logit. */
  readonly logitBias?: Readonly<Record<string, number>>;
  /** Up to 4 texts at which the answer ends; they are not part of it. */
  readonly stop?: readonly T[];
  /** Report the log-probability of each emitted token, with this many alternatives (0 to 20). */
  readonly topLogprobs?: number;
  readonly format?: AnswerFormat<T>;
  /** Hint of some servers for reasoning models. */
  readonly reasoningEffort?: string;
}

/** Public names of the sampling fields, as callers know them. */
export const publicNames = {
  tokensMax: 'max_completion_tokens',
  temperature: 'temperature',
  topP: 'top_p',
  topK: 'top_k',
  minP: 'min_p',
  presencePenalty: 'presence_penalty',
  frequencyPenalty: 'frequency_penalty',
  repetitionPenalty: 'repetition_penalty',
  seed: 'seed',
  logitBias: 'logit_bias',
  stop: 'stop',
  topLogprobs: 'top_logprobs',
  format: 'response_format',
  reasoningEffort: 'reasoning_effort',
} as const satisfies Record<keyof Sampling, string>;

/** Public name of the parameter that asks for a form of the answer: a grammar has one of its own. */
export function formatParameter(type: AnswerFormat['type']): string {
  return type === 'grammar' ? 'grammar' : publicNames.format;
}

/** What the request may cost, disclose and risk, and how long it may take. Hard limits: no recipe can lower them. */
export interface Limits {
  /** Dollars at most. */
  readonly costUsdMax?: number;
  /** Time until the answer is finished, in milliseconds. */
  readonly totalMs?: number;
  /** Places whose members may be used; default all. */
  readonly places?: readonly Place[];
  /** Member ids that may be used; default all. */
  readonly members?: readonly string[];
}

/** The request's objective and limits. */
export interface Policy {
  /** What to favour where there is a choice. Default `balanced`. */
  readonly objective: 'quality' | 'balanced' | 'cost' | 'latency' | 'private';
  readonly limits: Limits;
  /**
   * How private the request is. `open`: nothing is masked. `standard` (default): private values are masked before any
   * cloud member. `confidential`: no cloud member is used at all.
   */
  readonly privacyClass: 'open' | 'standard' | 'confidential';
}

/** Which public interface the request came through. `library` is code in this process: it needs no key. */
export type Surface = 'chat' | 'completions' | 'responses' | 'embeddings' | 'library';

/** A request as it came in, parsed and well-formed, not yet admitted. */
export interface Received {
  readonly surface: Surface;
  /** The model id that was asked for, such as `tandem/cascade` or `small`. */
  readonly model: string;
  readonly prompt: Prompt<string>;
  readonly sampling: Sampling;
  /** Number of answers, 1 to 16. */
  readonly answers: number;
  readonly policy: Partial<Policy>;
  /** Recipe knobs, not yet checked. */
  readonly knobs: { readonly [name: string]: unknown };
  /** Whether the reply should explain the decision. */
  readonly explain: boolean;
  /** Nobody reads the answer before it is finished, so members may send it in one piece, which is cheaper. Default false. */
  readonly whole?: boolean;
  /** The key that the caller showed, if any. */
  readonly key: string | undefined;
  /** The caller's own end-user id; the trace keeps a mark of it (`policy/end-user.ts`). */
  readonly user?: string;
}

declare const stage: unique symbol;
type Reached<S extends string> = { readonly [stage]: S };

/** A request that may run: caller known, limits checked, recipe and policy resolved. */
export interface Admitted extends Received {
  readonly caller: Caller;
  readonly policy: Policy;
  /** What its key may still spend today, where that is limited. Default: not limited. */
  readonly keyPurse?: KeyPurse;
}

/** The dollars of a key's day, as one request draws on them. All requests of the key draw on the same ones, in every thread of the process. */
export interface KeyPurse {
  /** Dollars that are neither spent nor set aside; below 0 where calls cost more than was set aside for them. */
  readonly leftUsd: number;
  /**
   * Sets dollars aside for a call, in one step: `mostUsd`, or what is left where that is less and at least `leastUsd`.
   * @returns dollars that were set aside; undefined where less than `leastUsd` is left
   */
  take(leastUsd: number, mostUsd: number): number | undefined;
  /** A call has ended that had `takenUsd` set aside and cost `costUsd`. */
  settle(takenUsd: number, costUsd: number): void;
}

/** Who sent an admitted request. */
export interface Caller {
  /** Name of the key, never the key itself; `anonymous` where the gateway asks for none. */
  readonly name: string;
}

/** An admitted request that passed the input guard. */
export type Guarded = Admitted & Reached<'guarded'>;

/** Both views of a guarded request: the raw one for own members, the masked one that may go anywhere. */
export interface Veiled {
  readonly request: Omit<Guarded, 'prompt'>;
  readonly raw: Prompt<string>;
  readonly masked: Prompt<MaskedText>;
  /** Masks text that arose later (a draft, a tool result) with the same placeholders, so that it may go anywhere. */
  readonly veil: (text: string) => MaskedText;
  /** How many private values the masked view hides, by kind. */
  readonly hidden: Readonly<Record<string, number>>;
}

/** An emitted token, where the engine can tell. */
export interface EmittedToken {
  /** What it adds to the answer's text; empty while a character is incomplete. Some servers label a part of a character instead. */
  readonly text: string;
  readonly id?: number;
  /** Its own bytes, each 0 to 255. Only where they are not whole characters of UTF-8, so that no text can say them; default: the text's. */
  readonly bytes?: readonly number[];
  /** Natural logarithm of its probability under the model's law before sampling settings. */
  readonly logprob?: number;
  /** The most likely tokens at this position, most likely first. `bytes` as above. */
  readonly top?: readonly { readonly text: string; readonly id?: number; readonly bytes?: readonly number[]; readonly logprob: number }[];
  /** Shannon entropy of the whole law in nats, where the engine sees the whole law. */
  readonly entropy?: number;
}

/** Why an answer ended. */
export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter';

/** A piece of an answer. `answer` is the index of the answer (0 unless several were asked for). */
export type Part =
  | {
      readonly type: 'text';
      readonly answer: number;
      readonly member: string;
      readonly delta: string;
      readonly tokens?: readonly EmittedToken[];
      /** The text says that the model will not answer; only servers that tell it apart mark it. */
      readonly refusal?: true;
    }
  | { readonly type: 'reasoning'; readonly answer: number; readonly member: string; readonly delta: string }
  | {
      readonly type: 'tool-call';
      readonly answer: number;
      readonly member: string;
      /** Position of the call among the answer's calls. */
      readonly call: number;
      /** Present in the first part of each call. */
      readonly id?: string;
      /** Present in the first part of each call. */
      readonly name?: string;
      readonly argumentsDelta: string;
    }
  | { readonly type: 'finish'; readonly answer: number; readonly member: string; readonly reason: FinishReason };

/** A stream of parts in the state `S`. */
export type PartStream<S extends string> = AsyncIterable<Part> & Reached<S>;
/** What a recipe gave: may hold placeholders. */
export type Answered = PartStream<'answered'>;
/** Placeholders are put back. */
export type Restored = PartStream<'restored'>;
/** Passed the output guard: the only stream that the gateway may send. */
export type Audited = PartStream<'audited'>;

/**
 * Marks a value as having reached a state. Called by the stage that brings it there, and by nobody else.
 * @param value the value, unchanged
 */
export function reached<S extends string, V extends object>(value: V): V & Reached<S> {
  return value as V & Reached<S>;
}

/** Which text of a prompt it is. `schema`: a text or number anywhere in a tool's JSON Schema, as `mapSchema` gives them. */
export type TextField = 'content' | 'name' | 'arguments' | 'text' | 'prefix' | 'description' | 'schema';

/** Changes one text of a prompt. `index`: its message or tool. `call`: its call in the message. */
export type TextChange<T extends string> = (text: string, field: TextField, index: number, call: number) => T;

/** The same text as a path for `error.param`, such as `messages[2].tool_calls[0].function.arguments`. */
export function textPath(field: TextField, index: number, call: number): string {
  if (field === 'text' || field === 'prefix') return field === 'text' ? 'prompt' : 'tandem.prefix';
  if (field === 'description') return `tools[${index}].function.description`;
  if (field === 'schema') return `tools[${index}].function.parameters`;
  return field === 'arguments' ? `messages[${index}].tool_calls[${call}].function.arguments` : `messages[${index}].${field}`;
}

/** A prompt with every text changed. What does not change is kept, not copied: the same texts give the same prompt object. */
export function mapTexts<T extends string>(prompt: Prompt<string>, change: TextChange<T>): Prompt<T> {
  const messages = mapList(prompt.messages, (message, index) => mapMessage(message, index, change));
  const tools = prompt.tools === undefined ? undefined : mapList(prompt.tools, (tool, index) => mapTool(tool, index, change));
  const text = prompt.text === undefined ? undefined : change(prompt.text, 'text', 0, 0);
  const prefix = prompt.prefix === undefined ? undefined : change(prompt.prefix, 'prefix', 0, 0);
  if (messages === prompt.messages && tools === prompt.tools && text === prompt.text && prefix === prompt.prefix) return prompt as Prompt<T>;
  return { ...prompt, messages, ...(tools === undefined ? {} : { tools }), ...(text === undefined ? {} : { text }), ...(prefix === undefined ? {} : { prefix }) } as Prompt<T>;
}

function mapMessage<T extends string>(message: Message<string>, index: number, change: TextChange<T>): Message<T> {
  const content = change(message.content, 'content', index, 0);
  const name = message.name === undefined ? undefined : change(message.name, 'name', index, 0);
  const toolCalls =
    message.toolCalls === undefined
      ? undefined
      : mapList(message.toolCalls, (call, at) => {
          const text = change(call.arguments, 'arguments', index, at);
          return (text === call.arguments ? call : { ...call, arguments: text }) as ToolCall<T>;
        });
  if (content === message.content && name === message.name && toolCalls === message.toolCalls) return message as Message<T>;
  return { ...message, content, ...(name === undefined ? {} : { name }), ...(toolCalls === undefined ? {} : { toolCalls }) } as Message<T>;
}

function mapTool<T extends string>(tool: ToolDefinition<string>, index: number, change: TextChange<T>): ToolDefinition<T> {
  const description = tool.description === undefined ? undefined : change(tool.description, 'description', index, 0);
  const parameters = tool.parameters === undefined ? undefined : (mapSchema(tool.parameters, (text) => change(text, 'schema', index, 0)) as JsonSchema);
  if (description === tool.description && parameters === tool.parameters) return tool as ToolDefinition<T>;
  return { ...tool, ...(description === undefined ? {} : { description }), ...(parameters === undefined ? {} : { parameters }) } as ToolDefinition<T>;
}

/**
 * Settings with their texts masked: stop texts, grammars, and the texts and numbers in a schema, as `mapSchema` gives them.
 * The same object when it holds none.
 * @param veil the request's own mask (`Veiled.veil`)
 */
export function veilSampling(sampling: Sampling<string>, veil: (text: string) => MaskedText): Sampling<MaskedText> {
  const { stop, format } = sampling;
  if (stop === undefined && (format === undefined || format.type === 'text' || format.type === 'json')) return sampling as Sampling<MaskedText>;
  return { ...sampling, ...(stop === undefined ? {} : { stop: stop.map(veil) }), ...(format === undefined ? {} : { format: veilFormat(format, veil) }) } as Sampling<MaskedText>;
}

function veilFormat(format: AnswerFormat<string>, veil: (text: string) => MaskedText): AnswerFormat<MaskedText> {
  if (format.type === 'grammar') return { type: 'grammar', gbnf: veil(format.gbnf) };
  return format.type === 'json-schema' ? { ...format, schema: mapSchema(format.schema, veil) as JsonSchema } : format;
}
