/** Reads what an AI SDK language model gives, whole or streamed, as parts of an answer. Takes the forms of v2, v3 and v4. */
import type { LanguageModelV4Content, LanguageModelV4StreamPart } from '@ai-sdk/provider';
import type { FinishReason } from '../../exchange.ts';
import { TandemError } from '../../errors.ts';
import type { Call, ModelPart, TokenUsage, Traffic } from '../port.ts';
import { tokenCount } from '../token-count.ts';
import { UpstreamError, truncated } from '../openai/failure.ts';

/** Characters a token, where a provider counts none. */
const CHARACTERS_PER_TOKEN = 4;

/** What a model says about a setting that it did not take. */
export interface Warning {
  readonly type: string;
  /** v3 and v4. */
  readonly feature?: string;
  /** v2. */
  readonly setting?: string;
}

const parameterOf: Readonly<Record<string, string>> = {
  temperature: 'temperature', topP: 'top_p', topK: 'top_k', presencePenalty: 'presence_penalty', frequencyPenalty: 'frequency_penalty',
  seed: 'seed', stopSequences: 'stop', maxOutputTokens: 'max_completion_tokens', responseFormat: 'response_format', toolChoice: 'tool_choice', reasoning: 'reasoning_effort',
};

/** Refuses an answer that ignores something that was asked. @throws {TandemError} parameter_unsupported */
export function refuseIgnored(member: string, warnings: readonly Warning[], asked: object): void {
  for (const { type, feature, setting } of warnings) {
    const name = feature ?? setting ?? '';
    if (type.startsWith('unsupported') && name in asked && parameterOf[name] !== undefined) {
      throw new TandemError('parameter_unsupported', { member, message: `Member "${member}" cannot honour ${parameterOf[name]}.`, param: parameterOf[name] });
    }
  }
}

/** Collects the parts of one answer. */
export class SdkAnswer {
  readonly #member: string;
  readonly #traffic: Traffic;
  readonly #calls = new Map<string, { readonly call: number; streamed: boolean }>();
  #characters = 0;
  #finish: { readonly reason: unknown; readonly usage: unknown } | undefined;

  /** @param traffic told the UTF-8 bytes of what comes */
  constructor(member: string, traffic: Traffic) {
    this.#member = member;
    this.#traffic = traffic;
  }

  /** Reads a part of a stream. @throws what an error part holds */
  part(part: LanguageModelV4StreamPart, out: ModelPart[]): void {
    switch (part.type) {
      case 'text-delta':
        return this.#text('text', part.delta, out);
      case 'reasoning-delta':
        return this.#text('reasoning', part.delta, out);
      case 'tool-input-start':
        if (part.providerExecuted !== true) this.#open(part.id, part.toolName, '', out);
        return;
      case 'tool-input-delta':
        return this.#argue(part.id, part.delta, out);
      case 'tool-call':
        if (part.providerExecuted === true) return;
        if (!this.#calls.has(part.toolCallId)) this.#open(part.toolCallId, part.toolName, part.input, out);
        else if (this.#calls.get(part.toolCallId)?.streamed === false) this.#argue(part.toolCallId, part.input, out);
        return;
      case 'finish':
        this.#finish = { reason: part.finishReason, usage: part.usage };
        return;
      case 'error':
        throw part.error;
      default:
    }
  }

  /** Reads a whole answer. */
  whole(content: readonly LanguageModelV4Content[], reason: unknown, usage: unknown, out: ModelPart[]): void {
    for (const item of content) {
      if (item.type === 'text' || item.type === 'reasoning') this.#text(item.type, item.text, out);
      else if (item.type === 'tool-call') this.part(item, out);
    }
    this.#finish = { reason, usage };
  }

  /** The finish part. @throws {TandemError} upstream_truncated, upstream_failed */
  finish(promptCharacters: number, call: Call): ModelPart {
    const word = finishWord(this.#finish?.reason);
    if (this.#finish === undefined || word === 'interrupted') throw truncated(this.#member);
    if (word === 'error') throw new UpstreamError('unknown', 'upstream_failed', { member: this.#member, message: `Member "${this.#member}": the answer ended with an error.` });
    const reason: FinishReason = word === 'length' ? 'length' : word === 'tool-calls' || this.#calls.size > 0 ? 'tool_calls' : word === 'content-filter' ? 'content_filter' : 'stop';
    return { type: 'finish', reason, usage: this.#usage(promptCharacters, call), bytesUp: this.#traffic.bytesUp, bytesDown: this.#traffic.bytesDown };
  }

  #usage(promptCharacters: number, call: Call): TokenUsage {
    const { inputTokens, outputTokens, cachedInputTokens, reasoningTokens } = (this.#finish?.usage ?? {}) as Record<string, unknown>;
    const input = counts(inputTokens);
    const output = counts(outputTokens);
    const estimated = input['total'] === undefined || output['total'] === undefined;
    const usage = {
      promptTokens: input['total'] ?? Math.ceil(promptCharacters / CHARACTERS_PER_TOKEN),
      completionTokens: output['total'] ?? Math.ceil(this.#characters / CHARACTERS_PER_TOKEN),
    };
    if (estimated) call.note?.('usage-estimated', usage);
    const cached = input['cacheRead'] ?? tokenCount(cachedInputTokens);
    const reasoning = output['reasoning'] ?? tokenCount(reasoningTokens);
    return {
      ...usage,
      ...(cached === undefined ? {} : { cachedPromptTokens: Math.min(cached, usage.promptTokens) }),
      ...(reasoning === undefined ? {} : { reasoningTokens: Math.min(reasoning, usage.completionTokens) }),
    };
  }

  #text(type: 'text' | 'reasoning', delta: string, out: ModelPart[]): void {
    if (delta === '') return;
    this.#count(delta);
    out.push({ type, delta });
  }

  #open(id: string, name: string, argumentsDelta: string, out: ModelPart[]): void {
    const call = this.#calls.size;
    this.#calls.set(id, { call, streamed: argumentsDelta !== '' });
    this.#count(argumentsDelta);
    out.push({ type: 'tool-call', call, id, name, argumentsDelta });
  }

  #argue(id: string, argumentsDelta: string, out: ModelPart[]): void {
    const known = this.#calls.get(id);
    if (known === undefined || argumentsDelta === '') return;
    known.streamed = true;
    this.#count(argumentsDelta);
    out.push({ type: 'tool-call', call: known.call, argumentsDelta });
  }

  #count(text: string): void {
    this.#characters += text.length;
    this.#traffic.bytesDown += Buffer.byteLength(text);
  }
}

/** v2 has a word, v3 and v4 an object that holds it. */
function finishWord(reason: unknown): string {
  if (typeof reason === 'string') return reason;
  const unified = (reason as { unified?: unknown } | null | undefined)?.unified;
  return typeof unified === 'string' ? unified : 'other';
}

/** v2 has a number, v3 and v4 an object of counts. */
function counts(tokens: unknown): Readonly<Record<string, number | undefined>> {
  if (typeof tokens === 'number') return { total: tokenCount(tokens) };
  return Object.fromEntries(Object.entries((tokens ?? {}) as object).map(([name, value]) => [name, tokenCount(value)]));
}
