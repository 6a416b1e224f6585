/** Which fields a part of a message's content may have. Others are refused, since they would be dropped. */
import { onlyFields, type JsonObject } from './reading.ts';

/**
 * Hints on any part, which change no answer: where a prompt may be cached (prefixes are reused without them), and what replies carry
 * and clients send back with the conversation.
 */
export const partHints = ['prompt_cache_breakpoint', 'cache_control', 'annotations', 'logprobs'] as const;

const chatParts = {
  text: fields('text'),
  refusal: fields('refusal'),
  image_url: fields('image_url'),
  input_audio: fields('input_audio'),
  file: fields('file'),
} as const;

const responsesParts = {
  input_text: fields('text'),
  /** `parsed` is what OpenAI's client adds (`responses.parse`), and changes no answer. */
  output_text: fields('text', 'parsed'),
  refusal: fields('refusal'),
  input_image: fields('image_url', 'file_id', 'detail'),
  input_file: fields('file_data', 'file_id', 'file_url', 'filename', 'detail'),
  input_audio: fields('input_audio'),
} as const;

/** Types of parts in messages of the chat endpoint. */
export const chatPartTypes = Object.keys(chatParts) as (keyof typeof chatParts)[];

/** Types of parts in input of the Responses endpoint. */
export const responsesPartTypes = Object.keys(responsesParts) as (keyof typeof responsesParts)[];

/** Refuses fields that a chat part of this type does not have. @throws {TandemError} parameter_unknown */
export function checkChatPart(part: JsonObject, type: keyof typeof chatParts, path: string): void {
  onlyFields(part, path, chatParts[type]);
}

/** Refuses fields that a Responses part of this type does not have. @throws {TandemError} parameter_unknown */
export function checkResponsesPart(part: JsonObject, type: keyof typeof responsesParts, path: string): void {
  onlyFields(part, path, responsesParts[type]);
}

function fields(...own: readonly string[]): ReadonlySet<string> {
  return new Set(['type', ...own, ...partHints]);
}
