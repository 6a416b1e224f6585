/**
 * What OpenAI-compatible servers send, as far as it is read. Every field may be absent or wrong: readers check.
 * (OpenAI API reference, chat completions, completions and embeddings; vLLM's and llama-server's additions.)
 */
import { isUtf8 } from 'node:buffer';
import type { FinishReason } from '../../exchange.ts';
import type { EmittedToken } from '../../exchange.ts';
import type { TokenUsage } from '../port.ts';
import { tokenCount } from '../token-count.ts';
import type { ServerError } from './failure.ts';

/** Token counts. */
export interface WireUsage {
  readonly prompt_tokens?: unknown;
  readonly completion_tokens?: unknown;
  readonly prompt_tokens_details?: { readonly cached_tokens?: unknown } | null;
  readonly completion_tokens_details?: { readonly reasoning_tokens?: unknown } | null;
}

/** Log-probabilities of chat completions. */
export interface WireChatLogprobs {
  readonly content?: readonly WireToken[] | null;
}

/** A token with its log-probability. */
export interface WireToken {
  readonly token?: unknown;
  readonly logprob?: unknown;
  readonly bytes?: unknown;
  readonly top_logprobs?: readonly WireToken[] | null;
}

/** Log-probabilities of legacy completions: parallel lists. */
export interface WireTextLogprobs {
  readonly tokens?: readonly unknown[];
  readonly token_logprobs?: readonly unknown[];
  readonly top_logprobs?: readonly (Readonly<Record<string, unknown>> | null)[] | null;
}

/** A piece of a tool call. */
export interface WireToolCall {
  readonly index?: unknown;
  readonly id?: unknown;
  readonly function?: { readonly name?: unknown; readonly arguments?: unknown } | null;
}

/** A message, or a piece of one. */
export interface WireMessage {
  readonly content?: unknown;
  readonly refusal?: unknown;
  readonly reasoning_content?: unknown;
  readonly reasoning?: unknown;
  readonly tool_calls?: readonly WireToolCall[] | null;
}

/** One of the choices. */
export interface WireChoice {
  readonly index?: unknown;
  readonly message?: WireMessage | null;
  readonly delta?: WireMessage | null;
  readonly text?: unknown;
  readonly finish_reason?: unknown;
  readonly logprobs?: (WireChatLogprobs & WireTextLogprobs) | null;
  readonly prompt_logprobs?: WirePromptLogprobs | null;
  readonly prompt_token_ids?: readonly unknown[] | null;
}

/** vLLM's scores of the prompt: for each token, its own entry and the most likely ones, by token id. */
export type WirePromptLogprobs = readonly (Readonly<Record<string, { readonly logprob?: unknown; readonly decoded_token?: unknown; readonly rank?: unknown }>> | null)[];

/** A reply, or an event of a streamed one. */
export interface WireReply {
  readonly choices?: readonly WireChoice[];
  readonly usage?: WireUsage | null;
  readonly error?: ServerError | string | null;
  readonly data?: readonly { readonly index?: unknown; readonly embedding?: unknown }[];
  readonly prompt_logprobs?: WirePromptLogprobs | null;
  readonly prompt_token_ids?: readonly unknown[] | null;
}

/** JSON as a reply; undefined when it is not a JSON object. */
export function parseReply(text: string): WireReply | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The counts of a reply; undefined when the server gave none that can be believed. */
export function usageOf(usage: WireUsage | null | undefined): TokenUsage | undefined {
  const promptTokens = tokenCount(usage?.prompt_tokens);
  const completionTokens = tokenCount(usage?.completion_tokens);
  if (promptTokens === undefined || completionTokens === undefined) return undefined;
  const cached = tokenCount(usage?.prompt_tokens_details?.cached_tokens);
  const reasoning = tokenCount(usage?.completion_tokens_details?.reasoning_tokens);
  return {
    promptTokens,
    completionTokens,
    ...(cached === undefined ? {} : { cachedPromptTokens: Math.min(cached, promptTokens) }),
    ...(reasoning === undefined ? {} : { reasoningTokens: Math.min(reasoning, completionTokens) }),
  };
}

/** A finish reason of any server as one of ours. Unknown ones count as `stop`. */
export function finishReason(value: string): FinishReason {
  if (value === 'length' || value === 'max_tokens' || value === 'model_length') return 'length';
  if (value === 'tool_calls' || value === 'function_call') return 'tool_calls';
  return value === 'content_filter' ? 'content_filter' : 'stop';
}

/** Tokens of either form of log-probabilities; undefined when there are none. */
export function tokensOf(logprobs: WireChoice['logprobs']): EmittedToken[] | undefined {
  if (typeof logprobs !== 'object' || logprobs === null) return undefined;
  if (Array.isArray(logprobs.content)) return logprobs.content.flatMap((token: WireToken) => chatToken(token) ?? []);
  return Array.isArray(logprobs.tokens) ? textTokens(logprobs) : undefined;
}

function chatToken(token: WireToken): EmittedToken | undefined {
  const own = chatEntry(token);
  if (own === undefined) return undefined;
  const top = token.top_logprobs?.flatMap((other) => chatEntry(other) ?? []);
  return top === undefined || top.length === 0 ? own : { ...own, top };
}

function chatEntry({ token, logprob, bytes }: WireToken): { text: string; logprob: number; bytes?: readonly number[] } | undefined {
  const own = pair(token, logprob);
  return own !== undefined && isCut(bytes) ? { ...own, bytes } : own;
}

/** Whether these are bytes that are not whole characters of UTF-8. */
function isCut(bytes: unknown): bytes is readonly number[] {
  // most tokens are ASCII, which needs no more than this look
  if (!Array.isArray(bytes) || bytes.every((byte) => byte < 0x80)) return false;
  return bytes.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 0xff) && !isUtf8(Uint8Array.from(bytes as number[]));
}

function textTokens(logprobs: WireTextLogprobs): EmittedToken[] {
  return (logprobs.tokens ?? []).flatMap((text, index) => {
    if (typeof text !== 'string') return [];
    const logprob = logprobs.token_logprobs?.[index];
    const alternatives = logprobs.top_logprobs?.[index];
    const top = Object.entries(alternatives ?? {}).flatMap(([other, value]) => pair(other, value) ?? []).sort((a, b) => b.logprob - a.logprob);
    return [{ text, ...(typeof logprob === 'number' ? { logprob } : {}), ...(top.length === 0 ? {} : { top }) }];
  });
}

function pair(text: unknown, logprob: unknown): { text: string; logprob: number } | undefined {
  return typeof text === 'string' && typeof logprob === 'number' ? { text, logprob } : undefined;
}
