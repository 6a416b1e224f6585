/**
 * Tool calls in the text of an answer: `<tool_call>{"name": …, "arguments": …}</tool_call>`, one or several, between or after text.
 *
 * Text that could begin a call is held back; a call is reported when it is complete, its arguments as they were written. A closing tag inside a
 * string of the JSON closes nothing, and the end of the answer may cut the closing tag. What looks like a call but is none (broken JSON, an unknown function) stays text. Also the grammar that makes a model write calls and nothing else.
 */
import { quoted, SchemaGrammar } from '../../decoding/json-schema.ts';
import { fail } from '../../errors.ts';
import type { Prompt, ToolDefinition } from '../../exchange.ts';
import { memberSources } from './json-source.ts';

const opening = '<tool_call>';
const closing = '</tool_call>';

/** A piece of an answer: text, or a whole call. */
export type CallPart = { readonly type: 'text'; readonly delta: string } | { readonly type: 'call'; readonly name: string; readonly arguments: string };

/** Finds calls in a stream of text. */
export class CallFinder {
  readonly #names: ReadonlySet<string>;
  #held = '';
  #inside: string | undefined;
  /** How much of what is inside was looked at, and whether that ends in a string of the JSON. */
  #looked = 0;
  #inString = false;

  /** @param tools functions that may be called */
  constructor(tools: readonly ToolDefinition[]) {
    this.#names = new Set(tools.map(({ name }) => name));
  }

  /** What is surely known now that this text has come. */
  push(text: string): CallPart[] {
    const parts: CallPart[] = [];
    let rest = text;
    while (rest !== '') rest = this.#inside === undefined ? this.#outside(rest, parts) : this.#within(rest, parts);
    return parts;
  }

  /** What is left at the end of the answer. */
  end(): CallPart[] {
    const parts: CallPart[] = [];
    while (this.#inside !== undefined) {
      const inside = this.#inside;
      this.#inside = undefined;
      const call = this.#call(inside);
      // the JSON is broken, so a tag that seemed to stand in a string may have closed it
      const closed = call === undefined ? inside.indexOf(closing) : -1;
      const whole = closed < 0 ? inside : inside.slice(0, closed + closing.length);
      parts.push(call ?? { type: 'text', delta: whole }, ...this.push(inside.slice(whole.length)));
    }
    if (this.#held !== '') parts.push({ type: 'text', delta: this.#held });
    this.#held = '';
    return parts;
  }

  #outside(text: string, parts: CallPart[]): string {
    const all = this.#held + text;
    const at = all.indexOf(opening);
    const kept = at < 0 ? partial(all, opening) : 0;
    const delta = at < 0 ? all.slice(0, all.length - kept) : all.slice(0, at);
    this.#held = all.slice(all.length - kept);
    if (delta !== '') parts.push({ type: 'text', delta });
    if (at < 0) return '';
    this.#inside = opening;
    this.#looked = opening.length;
    this.#inString = false;
    return all.slice(at + opening.length);
  }

  #within(text: string, parts: CallPart[]): string {
    const all = `${this.#inside}${text}`;
    const at = this.#closingIn(all);
    if (at < 0) {
      this.#inside = all;
      return '';
    }
    const whole = all.slice(0, at + closing.length);
    this.#inside = undefined;
    parts.push(this.#call(whole) ?? { type: 'text', delta: whole });
    return all.slice(at + closing.length);
  }

  /** Where the closing tag stands outside of strings, looking on from where it was looked last; -1 where it has not come. */
  #closingIn(all: string): number {
    let at = this.#looked;
    for (; at < all.length; at++) {
      const character = all[at];
      if (character === '"') this.#inString = !this.#inString;
      else if (this.#inString && character === '\\') {
        if (at + 1 === all.length) break; // what it escapes has not come
        at++;
      } else if (!this.#inString && character === '<') {
        if (all.startsWith(closing, at)) return at;
        if (closing.startsWith(all.slice(at))) break;
      }
    }
    this.#looked = at;
    return -1;
  }

  #call(text: string): CallPart | undefined {
    try {
      const json = text.slice(opening.length, text.length - partial(text, closing));
      const { name, arguments: given, parameters } = JSON.parse(json) as { name?: unknown; arguments?: unknown; parameters?: unknown };
      if (typeof name !== 'string' || !this.#names.has(name)) return undefined;
      const value = given ?? parameters ?? {};
      const written = memberSources(json).get(given == null ? 'parameters' : 'arguments');
      return { type: 'call', name, arguments: typeof value === 'string' ? value : given == null && parameters == null ? '{}' : (written as string) };
    } catch {
      return undefined;
    }
  }
}

/** Length of the end of a text that is a tag or may begin one. */
function partial(text: string, tag: string): number {
  let length = Math.min(tag.length, text.length);
  while (length > 0 && !text.endsWith(tag.slice(0, length))) length--;
  return length;
}

/** Whether the answer must be a call. */
export function forcesCall(toolChoice: Prompt['toolChoice']): toolChoice is 'required' | { readonly name: string } {
  return toolChoice !== undefined && toolChoice !== 'auto' && toolChoice !== 'none';
}

/**
 * The grammar for a request that must call: one of the functions, or the one that is named; several calls where allowed.
 * Nothing when the model may choose.
 * @throws {TandemError} schema_unsupported, parameter_invalid for an unknown function
 */
export function callGrammar(prompt: Pick<Prompt, 'tools' | 'toolChoice' | 'parallelToolCalls'>): string | undefined {
  const { tools = [], toolChoice } = prompt;
  if (!forcesCall(toolChoice)) return undefined;
  const wanted = toolChoice === 'required' ? tools : tools.filter(({ name }) => name === toolChoice.name);
  if (wanted.length === 0) fail('parameter_invalid', { message: 'tool_choice asks for a function that is not among the tools.', param: 'tool_choice' });
  const calls = wanted.map((tool, n) => {
    const path = `tools[${tools.indexOf(tool)}].function.parameters`;
    const schema = tool.parameters ?? { type: 'object' };
    const grammar = new SchemaGrammar(schema, `t${n}-`);
    const body = grammar.rule(schema, path);
    grammar.use('space');
    return { call: `"{" space ${quoted('"name"')} ":" space ${quoted(JSON.stringify(tool.name))} "," space ${quoted('"arguments"')} ":" space ${body} space "}"`, rules: grammar.rules() };
  });
  const one = `${quoted(`${opening}\n`)} ( ${calls.map(({ call }) => call).join(' | ')} ) ${quoted(`\n${closing}`)}`;
  const several = toolChoice === 'required' && prompt.parallelToolCalls !== false ? `call ( "\\n" call ){0,7}` : 'call';
  return [`root ::= ${several}`, `call ::= ${one}`, ...new Set(calls.flatMap(({ rules }) => rules))].join('\n');
}
