/**
 * From messages to the text that a model was trained on: its own chat template (Jinja, from the GGUF file), with tools.
 *
 * What a request holds never becomes a control token, be it a text, a name or a tool: where it spells one (`<|im_end|>`), the prompt is cut into
 * pieces, and only what the template wrote is searched for control tokens. A template that knows tools gets them; for others a short instruction goes
 * into the system message. Either way calls come out as `<tool_call>{"name": …, "arguments": …}</tool_call>`.
 */
import { Template } from '@huggingface/jinja';
import { fail } from '../../errors.ts';
import type { Message, Prompt, ToolDefinition } from '../../exchange.ts';
import type { TextPiece } from './protocol.ts';

/** What of a model decides how its prompts are written. */
export interface ChatModel {
  readonly chatTemplate?: string;
  readonly beginText: string;
  readonly endText: string;
  readonly addsBegin: boolean;
  readonly specialTexts: readonly string[];
}

/** Used for models without a template: role and text, line by line. */
const plainTemplate = `{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}`;

/** Writes prompts for one model. */
export class Chat {
  readonly #model: ChatModel;
  readonly #template: Template;
  readonly #knowsTools: boolean;

  /** @throws {TandemError} model_unsupported when the template cannot be read */
  constructor(model: ChatModel) {
    this.#model = model;
    const source = model.chatTemplate ?? plainTemplate;
    try {
      this.#template = new Template(source);
    } catch (cause) {
      fail('model_unsupported', { message: 'The chat template of the model cannot be read.', cause });
    }
    this.#knowsTools = source.includes('tools') && source.includes('<tool_call>');
  }

  /** The prompt as one text. @throws {TandemError} parameter_missing, parameter_invalid */
  render(prompt: Prompt<string>): string {
    return this.pieces(prompt).map(({ text }) => text).join('');
  }

  /** The prompt in pieces that say whether control tokens are meant. @throws {TandemError} parameter_missing, parameter_invalid */
  pieces(prompt: Prompt<string>): TextPiece[] {
    if (prompt.text !== undefined) return [{ text: prompt.text + (prompt.prefix ?? ''), special: true }];
    if (prompt.messages.length === 0) fail('parameter_missing', { message: 'The prompt has neither messages nor text.', param: 'messages' });
    const shields = new Shields(this.#model.specialTexts);
    const text = this.#write(prompt, shields);
    const pieces = shields.open(this.#withoutBegin(text));
    if (prompt.prefix !== undefined && prompt.prefix !== '') pieces.push({ text: prompt.prefix, special: false });
    return joined(pieces, this.#model.specialTexts);
  }

  #write(prompt: Prompt<string>, shields: Shields): string {
    const tools = prompt.toolChoice === 'none' ? [] : (prompt.tools ?? []);
    const messages = prompt.messages.map((message) => this.#message(message, shields));
    if (tools.length > 0 && !this.#knowsTools) {
      const instruction = shields.hide(toolInstruction(tools));
      const first = messages[0];
      if (first?.role === 'system') first.content = `${first.content}\n\n${instruction}`;
      else messages.unshift({ role: 'system', content: instruction });
    }
    const values = {
      messages,
      add_generation_prompt: true,
      bos_token: this.#model.beginText,
      eos_token: this.#model.endText,
      ...(tools.length > 0 && this.#knowsTools ? { tools: tools.map((tool) => ({ type: 'function', function: { name: shields.hide(tool.name), description: shields.hide(tool.description ?? ''), parameters: shields.hideAll(tool.parameters ?? { type: 'object', properties: {} }) } })) } : {}),
    };
    try {
      return this.#template.render(values);
    } catch (cause) {
      return fail('parameter_invalid', { message: 'The chat template of the model does not take these messages (their roles or their order).', param: 'messages', cause });
    }
  }

  #message(message: Message<string>, shields: Shields): Record<string, unknown> & { role: string; content: string } {
    const content = shields.hide(message.content);
    const calls = message.toolCalls ?? [];
    const { role } = message;
    if (this.#knowsTools) {
      const toolCalls = calls.map((call) => ({ id: shields.hide(call.id), type: 'function', function: { name: shields.hide(call.name), arguments: shields.hideAll(parsed(call.arguments)) } }));
      return { role, content, ...(message.name === undefined ? {} : { name: shields.hide(message.name) }), ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }) };
    }
    if (role === 'tool') return { role: 'user', content: `<tool_response>\n${content}\n</tool_response>` };
    const written = calls.map((call) => `<tool_call>\n{"name": ${shields.hide(JSON.stringify(call.name))}, "arguments": ${shields.hide(call.arguments)}}\n</tool_call>`);
    return { role, content: [content, ...written].filter((part) => part !== '').join('\n') };
  }

  /** Templates often write the begin token that the tokenizer adds too. */
  #withoutBegin(text: string): string {
    const { addsBegin, beginText } = this.#model;
    return addsBegin && beginText !== '' && text.startsWith(beginText) ? text.slice(beginText.length) : text;
  }
}

/** Stands in for text of messages while the template is filled, where that text spells a control token. */
class Shields {
  readonly #special: readonly string[];
  readonly #hidden: string[] = [];

  constructor(special: readonly string[]) {
    this.#special = special;
  }

  /** Text that the template may handle: itself, or a mark for it. Marks are characters of a private use area; a text that has such ones gets a mark too. */
  hide(text: string): string {
    if (!marks.test(text) && !this.#special.some((special) => text.includes(special))) return text;
    return `${mark(this.#hidden.push(text) - 1)}`;
  }

  /** A value of JSON with all its texts, names of members too, as the template may handle them. */
  hideAll(value: unknown): unknown {
    if (typeof value === 'string') return this.hide(value);
    if (typeof value !== 'object' || value === null) return value;
    return Array.isArray(value) ? value.map((item) => this.hideAll(item)) : Object.fromEntries(Object.entries(value).map(([name, item]) => [this.hide(name), this.hideAll(item)]));
  }

  /** Cuts the filled template at the marks. */
  open(text: string): TextPiece[] {
    return text.split(/([\u{F0000}-\u{F0FFF}])/u).filter((part) => part !== '').map((part) => {
      const hidden = this.#hidden[(part.codePointAt(0) ?? 0) - 0xf0000];
      return hidden === undefined ? { text: part, special: true } : { text: hidden, special: false };
    });
  }
}

const marks = /[\u{F0000}-\u{F0FFF}]/u;

function mark(index: number): string {
  if (index > 0xfff) fail('parameter_invalid', { message: 'Too many messages spell control tokens of the model.', param: 'messages' });
  return String.fromCodePoint(0xf0000 + index);
}

/** Joins pieces where that changes nothing, so that tokens may span them. */
function joined(pieces: readonly TextPiece[], special: readonly string[]): TextPiece[] {
  if (pieces.some((piece) => !piece.special && special.some((text) => piece.text.includes(text)))) return [...pieces];
  return [{ text: pieces.map(({ text }) => text).join(''), special: true }];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function toolInstruction(tools: readonly ToolDefinition[]): string {
  const lines = tools.map(({ name, description, parameters }) => JSON.stringify({ name, ...(description === undefined ? {} : { description }), parameters: parameters ?? { type: 'object', properties: {} } }));
  return `You may call these functions, one JSON object a line:\n${lines.join('\n')}\nTo call one, write exactly:\n<tool_call>\n{"name": <its name>, "arguments": <object>}\n</tool_call>`;
}
