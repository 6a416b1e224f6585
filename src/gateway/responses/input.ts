/** `input` of a Responses request: a text, or items of a conversation. They become messages like those of a chat. */
import type { Attachment, Message, ToolCall } from '../../exchange.ts';
import { fail } from '../../errors.ts';
import { checkResponsesPart, responsesPartTypes } from '../parameters/parts.ts';
import { functionNameAt } from '../parameters/tools.ts';
import { listAt, objectAt, oneOf, onlyFields, shallowObjectAt, textAt, unsupported, wrong, type JsonObject } from '../parameters/reading.ts';

const messageFields = new Set(['type', 'role', 'content', 'id', 'status', 'phase']);
/** `parsed_arguments` is what OpenAI's client adds to a call (`responses.parse`). */
const callFields = new Set(['type', 'call_id', 'name', 'arguments', 'id', 'status', 'parsed_arguments']);
const outputFields = new Set(['type', 'call_id', 'output', 'id', 'status']);
const reasoningFields = new Set(['type', 'id', 'summary', 'content', 'encrypted_content', 'status']);

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Reads `input`. @throws {TandemError} parameter_* */
export function inputAt(value: unknown, path: string): Message[] {
  if (typeof value === 'string') return [{ role: 'user', content: value }];
  const messages: Writable<Message>[] = [];
  const calls = new Set<string>();
  listAt(value, path, 1).forEach((entry, index) => {
    const at = `${path}[${index}]`;
    addItem(messages, calls, objectAt(entry, at), at);
  });
  if (messages.length === 0) wrong(path, 'at least one message', value);
  return messages;
}

function addItem(messages: Writable<Message>[], calls: Set<string>, item: JsonObject, at: string): void {
  switch (item.type ?? 'message') {
    case 'message':
      messages.push(messageItem(item, at));
      return;
    case 'function_call':
      addCall(messages, callItem(item, at), calls);
      return;
    case 'function_call_output':
      messages.push(outputItem(item, at, calls));
      return;
    case 'reasoning':
      // Thoughts of an earlier answer, which clients send back; models are not shown them again.
      onlyFields(item, at, reasoningFields);
      return;
    default:
      unsupported(`${at}.type`, 'known items are message, function_call, function_call_output and reasoning');
  }
}

function messageItem(item: JsonObject, at: string): Message {
  onlyFields(item, at, messageFields);
  if (item.role === undefined) fail('parameter_missing', { message: `${at}.role is required.`, param: `${at}.role` });
  const role = oneOf(item.role, `${at}.role`, ['user', 'assistant', 'system', 'developer']);
  if (item.content === undefined) fail('parameter_missing', { message: `${at}.content is required.`, param: `${at}.content` });
  return { role: role === 'developer' ? 'system' : role, ...contentAt(item.content, `${at}.content`, role === 'user') };
}

function contentAt(value: unknown, path: string, attachable: boolean): { readonly content: string; readonly attachments?: readonly Attachment[] } {
  if (typeof value === 'string') return { content: value };
  const texts: string[] = [];
  const attachments: Attachment[] = [];
  listAt(value, path, 1).forEach((entry, index) => {
    const at = `${path}[${index}]`;
    const part = objectAt(entry, at);
    const type = oneOf(part.type, `${at}.type`, responsesPartTypes);
    checkResponsesPart(part, type, at);
    if (type === 'input_text' || type === 'output_text') texts.push(textAt(part.text, `${at}.text`));
    else if (type === 'refusal') texts.push(textAt(part.refusal, `${at}.refusal`));
    else if (!attachable) wrong(`${at}.type`, 'a text part in a message of this role', type);
    else attachments.push(attachmentAt(part, type, at));
  });
  return { content: texts.join('\n'), ...(attachments.length === 0 ? {} : { attachments }) };
}

/** An attachment in the chat endpoint's form, which is what servers of members take. */
function attachmentAt(part: JsonObject, type: 'input_image' | 'input_file' | 'input_audio', at: string): Attachment {
  const { file_id: fileId, file_data, file_url, filename, detail: fidelity } = shallowObjectAt(part, at);
  if (type === 'input_image') {
    if (typeof part.image_url !== 'string' || (fileId !== undefined && fileId !== null)) unsupported(`${at}.file_id`, 'files are not kept; send image_url');
    const detail = fidelity === undefined || fidelity === null ? {} : { detail: textAt(fidelity, `${at}.detail`) };
    return { type: 'image_url', value: { type: 'image_url', image_url: { url: textAt(part.image_url, `${at}.image_url`, 1), ...detail } } };
  }
  if (type === 'input_file') {
    if (fileId !== undefined && fileId !== null) unsupported(`${at}.file_id`, 'files are not kept; send file_data');
    return { type: 'file', value: { type: 'file', file: { file_data, file_url, filename, detail: fidelity } } };
  }
  return { type: 'input_audio', value: { type: 'input_audio', input_audio: objectAt(part.input_audio, `${at}.input_audio`) } };
}

function callItem(item: JsonObject, at: string): ToolCall {
  onlyFields(item, at, callFields);
  return { id: textAt(item.call_id, `${at}.call_id`, 1, 256), name: functionNameAt(item.name, `${at}.name`), arguments: textAt(item.arguments, `${at}.arguments`) };
}

/** Calls belong to the assistant message before them; items of one turn stand one after the other. */
function addCall(messages: Writable<Message>[], call: ToolCall, calls: Set<string>): void {
  calls.add(call.id);
  const last = messages.at(-1);
  if (last?.role === 'assistant') last.toolCalls = [...(last.toolCalls ?? []), call];
  else messages.push({ role: 'assistant', content: '', toolCalls: [call] });
}

function outputItem(item: JsonObject, at: string, calls: ReadonlySet<string>): Message {
  onlyFields(item, at, outputFields);
  const id = textAt(item.call_id, `${at}.call_id`, 1, 256);
  if (!calls.has(id)) wrong(`${at}.call_id`, 'the call_id of an earlier function_call', id);
  return { role: 'tool', toolCallId: id, content: contentAt(item.output, `${at}.output`, false).content };
}
