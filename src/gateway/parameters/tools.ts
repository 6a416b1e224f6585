/** `tools` and `tool_choice`, in the nested form of the chat endpoint and the flat form of the Responses endpoint. */
import type { Prompt, ToolDefinition } from '../../exchange.ts';
import { fail } from '../../errors.ts';
import type { Draft } from './draft.ts';
import { flagAt, listAt, objectAt, oneOf, onlyFields, shallowObjectAt, textAt, unsupported, wrong, type JsonObject } from './reading.ts';

const outerFields = new Set(['type', 'function']);
const functionFields = new Set(['name', 'description', 'parameters', 'strict']);
const flatFields = new Set(['type', ...functionFields]);
const choiceFields = new Set(['name']);
const flatChoiceFields = new Set(['type', 'name']);

/** Most tools a request may carry. */
export const toolsMax = 128;

/** Tools of a request. @param flat the Responses endpoint's form @throws {TandemError} parameter_* */
export function toolsAt(value: unknown, path: string, flat: boolean): readonly ToolDefinition[] {
  const names = new Set<string>();
  return listAt(value, path, 0, toolsMax).map((entry, index) => {
    const at = `${path}[${index}]`;
    const outer = objectAt(entry, at);
    if (typeof outer.type === 'string' && outer.type !== 'function') unsupported(`${at}.type`, 'only tools of the type "function" can be called');
    oneOf(outer.type, `${at}.type`, ['function']);
    onlyFields(outer, at, flat ? flatFields : outerFields);
    const tool = flat ? toolOf(outer, at) : nestedTool(outer, at);
    if (names.has(tool.name)) wrong(flat ? `${at}.name` : `${at}.function.name`, 'a name that no other tool has', tool.name);
    names.add(tool.name);
    return tool;
  });
}

function nestedTool(outer: JsonObject, at: string): ToolDefinition {
  if (outer.function === undefined) fail('parameter_missing', { message: `${at}.function is required.`, param: `${at}.function` });
  const inner = objectAt(outer.function, `${at}.function`);
  onlyFields(inner, `${at}.function`, functionFields);
  return toolOf(inner, `${at}.function`);
}

function toolOf(inner: JsonObject, at: string): ToolDefinition {
  const { description, parameters, strict } = inner;
  return {
    name: functionNameAt(inner.name, `${at}.name`),
    ...(description === undefined || description === null ? {} : { description: textAt(description, `${at}.description`) }),
    ...(parameters === undefined || parameters === null ? {} : { parameters: shallowObjectAt(parameters, `${at}.parameters`) }),
    ...(strict === undefined || strict === null ? {} : { strict: flagAt(strict, `${at}.strict`) }),
  };
}

/** Name of a function. @throws {TandemError} parameter_invalid */
export function functionNameAt(value: unknown, path: string): string {
  const name = textAt(value, path, 1, 64);
  if (!/^[\w.-]+$/.test(name)) wrong(path, 'letters, digits, "_", "-" and "."', value);
  return name;
}

/** `tool_choice`. @param flat the Responses endpoint's form @throws {TandemError} parameter_* */
export function toolChoiceAt(value: unknown, path: string, flat: boolean): NonNullable<Prompt['toolChoice']> {
  if (typeof value === 'string') return oneOf(value, path, ['none', 'auto', 'required']);
  const choice = objectAt(value, path);
  if (typeof choice.type === 'string' && choice.type !== 'function') unsupported(`${path}.type`, 'only a choice of the type "function" is known');
  oneOf(choice.type, `${path}.type`, ['function']);
  onlyFields(choice, path, flat ? flatChoiceFields : outerFields);
  if (flat) return { name: functionNameAt(choice.name, `${path}.name`) };
  const inner = objectAt(choice.function, `${path}.function`);
  onlyFields(inner, `${path}.function`, choiceFields);
  return { name: functionNameAt(inner.name, `${path}.function.name`) };
}

/** Checks that choice and tools fit together. @throws {TandemError} parameter_invalid */
export function checkTools(draft: Draft): void {
  const { tools, toolChoice } = draft;
  const some = tools !== undefined && tools.length > 0;
  if (!some) {
    if (toolChoice !== undefined && toolChoice !== 'none' && toolChoice !== 'auto') wrong('tool_choice', 'tools to choose from', undefined);
    draft.tools = undefined;
    draft.toolChoice = undefined;
    draft.parallelToolCalls = undefined;
  } else if (typeof toolChoice === 'object' && !tools.some((tool) => tool.name === toolChoice.name)) {
    wrong('tool_choice', 'the name of one of the tools', toolChoice.name);
  }
}
