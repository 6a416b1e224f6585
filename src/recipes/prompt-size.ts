/**
 * How many prompt tokens a call may come to, for the money that is set aside before it starts and for calls whose count never came.
 *
 * Everything counts that is sent and that a server may put before its model: messages, calls, tools, stop texts, schema or grammar. Prompt
 * tokens are not known beforehand, so there are two measures. `promptTokensOf` takes one for three bytes, which over-estimates common
 * tokenizers on common text. `promptTokensMax` takes one for each byte, which no byte-level tokenizer exceeds. Neither looks into
 * pictures, sounds and files: what those come to depends on the member.
 */
import type { AnswerFormat, Prompt, Sampling } from '../exchange.ts';
import type { AnyMember, Price } from '../models/team.ts';

/** Tokens that a chat template puts around a message, a call, a tool or a stop text at most. */
const aroundTokensMax = 16;
/** Tokens of a server's own instructions about tools and answer formats at most. */
const instructionTokensMax = 512;
/** Tokens of a picture at most, where the member does not say: more than any listed model counts in full detail (gpt-4o-mini: 48,169). */
export const pictureTokensMax = 49_152;
/** Tokens of a picture, a sound or a file in calls whose count never came, where dollars are not limited. */
const attachmentTokensUsual = 1_024;

/** Prompt tokens at most, without pictures, sounds and files: no byte-level tokenizer makes more than one token a byte. */
export function promptTokensMax(prompt: Prompt<string>, sampling: Sampling = {}): number {
  let pieces = 1 + prompt.messages.length + (prompt.tools?.length ?? 0) + (sampling.stop?.length ?? 0);
  for (const { toolCalls } of prompt.messages) pieces += toolCalls?.length ?? 0;
  const instructed = prompt.tools !== undefined || (sampling.format !== undefined && sampling.format.type !== 'text');
  return bytesOf(prompt, sampling) + aroundTokensMax * pieces + (instructed ? instructionTokensMax : 0);
}

/** Prompt tokens, estimated high, without pictures, sounds and files: one for three bytes of everything that is sent. */
export function promptTokensOf(prompt: Prompt<string>, sampling: Sampling = {}): number {
  return Math.ceil((bytesOf(prompt, sampling) + 12 * prompt.messages.length) / 3);
}

/** Tokens that the pictures, sounds and files of a prompt come to at most for a member; Infinity where that is not known. */
export function attachmentTokensMax(member: AnyMember, prompt: Prompt<string>): number {
  let tokens = 0;
  for (const { attachments } of prompt.messages) {
    if (attachments === undefined) continue;
    for (const { type } of attachments) tokens += member.attachmentTokensMax ?? (type === 'image_url' ? pictureTokensMax : Infinity);
  }
  return tokens;
}

/** Dollars for a prompt at most; Infinity where its attachments have no bound. @param textTokens without attachments */
export function promptUsdMax(member: AnyMember, price: Price, prompt: Prompt<string>, textTokens: number): number {
  const { inputUsdPerMillionTokens: tokenPrice } = price;
  return tokenPrice === 0 ? 0 : ((textTokens + attachmentTokensMax(member, prompt)) * tokenPrice) / 1e6;
}

/** Tokens that the pictures, sounds and files of a prompt usually come to, about. */
export function attachmentTokensOf(prompt: Prompt<string>): number {
  let count = 0;
  for (const { attachments } of prompt.messages) count += attachments?.length ?? 0;
  return count * attachmentTokensUsual;
}

/** Bytes of all texts that are sent. */
function bytesOf(prompt: Prompt<string>, { stop, format }: Sampling): number {
  let bytes = lengthOf(prompt.text) + lengthOf(prompt.prefix) + formatBytes(format);
  for (const { content, name, toolCallId, toolCalls } of prompt.messages) {
    bytes += Buffer.byteLength(content) + lengthOf(name) + lengthOf(toolCallId);
    if (toolCalls !== undefined) for (const call of toolCalls) bytes += Buffer.byteLength(call.id) + Buffer.byteLength(call.name) + Buffer.byteLength(call.arguments);
  }
  if (prompt.tools !== undefined) bytes += Buffer.byteLength(JSON.stringify(prompt.tools));
  if (typeof prompt.toolChoice === 'object') bytes += Buffer.byteLength(prompt.toolChoice.name);
  if (stop !== undefined) for (const text of stop) bytes += Buffer.byteLength(text);
  return bytes;
}

function formatBytes(format: AnswerFormat | undefined): number {
  if (format?.type === 'json-schema') return Buffer.byteLength(format.name) + Buffer.byteLength(JSON.stringify(format.schema));
  return format?.type === 'grammar' ? Buffer.byteLength(format.gbnf) : 0;
}

function lengthOf(text: string | undefined): number {
  return text === undefined ? 0 : Buffer.byteLength(text);
}
