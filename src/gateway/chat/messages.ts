/**
 * `messages` of a chat request. `developer` messages are system messages; parts of a message are joined by line ends;
 * pictures, sound and files become attachments, which only some members take.
 */
import type { Attachment, Message, ToolCall } from '../../exchange.ts';
import { fail } from '../../errors.ts';
import { chatPartTypes, checkChatPart } from '../parameters/parts.ts';
import { functionNameAt } from '../parameters/tools.ts';
import { listAt, objectAt, oneOf, onlyFields, shallowObjectAt, textAt, unsupported, wrong, type JsonObject } from '../parameters/reading.ts';

const roles = ['system', 'developer', 'user', 'assistant', 'tool'] as const;
const plainFields = new Set(['role', 'content', 'name']);
const toolFields = new Set(['role', 'content', 'tool_call_id']);
/**
 * What clients send back of an earlier reply stands here too: `refusal`, `annotations`, `audio`, `reasoning_content`, and `parsed`, which OpenAI's
 * client adds to it (`chat.completions.parse`, `runTools`).
 */
const assistantFields = new Set(['role', 'content', 'name', 'tool_calls', 'refusal', 'annotations', 'audio', 'function_call', 'reasoning_content', 'parsed']);

/** `index` is what clients keep of a streamed call. */
const callFields = new Set(['id', 'type', 'function', 'index']);
/** `parsed_arguments` is what OpenAI's client adds to a call. */
const calledFields = new Set(['name', 'arguments', 'parsed_arguments']);

/** Reads `messages`. @throws {TandemError} parameter_* */
export function messagesAt(value: unknown, path: string): Message[] {
  const list = listAt(value, path, 1);
  const calls = new Set<string>();
  return list.map((entry, index) => messageAt(entry, `${path}[${index}]`, calls));
}

function messageAt(value: unknown, path: string, calls: Set<string>): Message {
  const message = objectAt(value, path);
  if (message.role === undefined) fail('parameter_missing', { message: `${path}.role is required.`, param: `${path}.role` });
  if (message.role === 'function') unsupported(`${path}.role`, 'legacy functions are not taken; use tools');
  const role = oneOf(message.role, `${path}.role`, roles);
  if (role === 'assistant') return assistantMessage(message, path, calls);
  onlyFields(message, path, role === 'tool' ? toolFields : plainFields);
  if (message.content === undefined) fail('parameter_missing', { message: `${path}.content is required.`, param: `${path}.content` });
  const { content, attachments } = contentAt(message.content, `${path}.content`, role === 'user');
  if (role === 'tool') return { role, content, toolCallId: answeredCall(message, path, calls) };
  return {
    role: role === 'developer' ? 'system' : role,
    content,
    ...nameOf(message, path),
    ...(attachments === undefined ? {} : { attachments }),
  };
}

function answeredCall(message: JsonObject, path: string, calls: ReadonlySet<string>): string {
  if (message.tool_call_id === undefined) fail('parameter_missing', { message: `${path}.tool_call_id is required.`, param: `${path}.tool_call_id` });
  const id = textAt(message.tool_call_id, `${path}.tool_call_id`, 1, 256);
  if (!calls.has(id)) wrong(`${path}.tool_call_id`, 'the id of a tool call of an earlier assistant message', id);
  return id;
}

function assistantMessage(message: JsonObject, path: string, calls: Set<string>): Message {
  onlyFields(message, path, assistantFields);
  if (message.function_call !== undefined && message.function_call !== null) unsupported(`${path}.function_call`, 'legacy functions are not taken; use tool_calls');
  if (message.audio !== undefined && message.audio !== null) unsupported(`${path}.audio`, 'spoken answers are not kept');
  const given = message.tool_calls === undefined || message.tool_calls === null ? undefined : toolCallsAt(message.tool_calls, `${path}.tool_calls`, calls);
  const refusal = message.refusal === undefined || message.refusal === null ? '' : textAt(message.refusal, `${path}.refusal`);
  const bare = message.content === undefined || message.content === null;
  if (bare && given === undefined && refusal === '') fail('parameter_missing', { message: `${path}.content is required, unless the message calls tools.`, param: `${path}.content` });
  const { content } = bare ? { content: refusal } : contentAt(message.content, `${path}.content`, false);
  return { role: 'assistant', content, ...nameOf(message, path), ...(given === undefined || given.length === 0 ? {} : { toolCalls: given }) };
}

function toolCallsAt(value: unknown, path: string, calls: Set<string>): ToolCall[] {
  return listAt(value, path, 0, 128).map((entry, index) => {
    const at = `${path}[${index}]`;
    const call = objectAt(entry, at);
    onlyFields(call, at, callFields);
    if (call.type !== undefined && call.type !== 'function') unsupported(`${at}.type`, 'only calls of the type "function" are known');
    const inner = objectAt(call.function, `${at}.function`);
    onlyFields(inner, `${at}.function`, calledFields);
    const id = textAt(call.id, `${at}.id`, 1, 256);
    calls.add(id);
    return { id, name: functionNameAt(inner.name, `${at}.function.name`), arguments: textAt(inner.arguments, `${at}.function.arguments`) };
  });
}

function nameOf(message: JsonObject, path: string): { readonly name?: string } {
  return message.name === undefined || message.name === null ? {} : { name: textAt(message.name, `${path}.name`, 1, 64) };
}

interface Content {
  readonly content: string;
  readonly attachments?: readonly Attachment[];
}

function contentAt(value: unknown, path: string, attachable: boolean): Content {
  if (typeof value === 'string') return { content: value };
  if (!Array.isArray(value)) wrong(path, 'a text or a list of parts', value);
  if (value.length === 0) wrong(path, 'at least one part', value);
  const texts: string[] = [];
  const attachments: Attachment[] = [];
  value.forEach((entry: unknown, index) => {
    const at = `${path}[${index}]`;
    const part = objectAt(entry, at);
    const type = oneOf(part.type, `${at}.type`, chatPartTypes);
    checkChatPart(part, type, at);
    if (type === 'text') texts.push(textAt(part.text, `${at}.text`));
    else if (type === 'refusal') texts.push(textAt(part.refusal, `${at}.refusal`));
    else if (!attachable) wrong(`${at}.type`, 'a text part in a message of this role', type);
    else attachments.push(attachmentAt(part, type, at));
  });
  return { content: texts.join('\n'), ...(attachments.length === 0 ? {} : { attachments }) };
}

function attachmentAt(part: JsonObject, type: Attachment['type'], at: string): Attachment {
  const inner = shallowObjectAt(part[type], `${at}.${type}`);
  if (type === 'image_url') textAt(inner.url, `${at}.image_url.url`, 1);
  if (type === 'input_audio') {
    textAt(inner.data, `${at}.input_audio.data`, 1);
    oneOf(inner.format, `${at}.input_audio.format`, ['wav', 'mp3']);
  }
  return { type, value: { type, [type]: inner } };
}
