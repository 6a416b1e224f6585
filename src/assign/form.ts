/**
 * Whether an answer has the form that the request asks for: JSON that satisfies its schema, tool calls whose arguments
 * satisfy theirs, not empty. A schema that cannot be compiled proves nothing and counts as satisfied (engines that
 * enforce formats refuse such schemas themselves); one that takes too long to check counts as not satisfied.
 */
import type { AnswerFormat, JsonSchema, ToolCall, ToolDefinition } from '../exchange.ts';
import { systemClock } from '../system/clock.ts';
import { checkMsMax, SchemaChecks } from './schema-checks.ts';

const checks = new SchemaChecks(systemClock);

/** What is looked at. */
export interface Formed {
  readonly text: string;
  readonly toolCalls: readonly ToolCall[];
}

/** What is asked for. */
export interface WantedForm {
  readonly format?: AnswerFormat;
  readonly tools?: readonly ToolDefinition[];
  readonly toolChoice?: 'none' | 'auto' | 'required' | { readonly name: string };
}

/** Why an answer lacks the form; undefined when it has it. Never holds text of the answer. */
export async function formFault({ text, toolCalls }: Formed, wanted: WantedForm): Promise<string | undefined> {
  if (toolCalls.length > 0) {
    for (const call of toolCalls) {
      const fault = await callFault(call, wanted);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }
  if (wanted.toolChoice === 'required' || typeof wanted.toolChoice === 'object') return 'no tool was called';
  if (text.trim() === '') return 'the answer is empty';
  const { format } = wanted;
  if (format === undefined || format.type === 'text' || format.type === 'grammar') return undefined;
  return jsonFault(text, format.type === 'json-schema' ? format.schema : undefined, 'the answer');
}

async function callFault(call: ToolCall, { tools, toolChoice }: WantedForm): Promise<string | undefined> {
  const tool = tools?.find(({ name }) => name === call.name);
  if (tool === undefined) return 'an unknown tool was called';
  if (typeof toolChoice === 'object' && toolChoice.name !== call.name) return 'another tool than the required one was called';
  return jsonFault(call.arguments === '' ? '{}' : call.arguments, tool.parameters, 'the arguments');
}

async function jsonFault(text: string, schema: JsonSchema | undefined, what: string): Promise<string | undefined> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return `${what}: not JSON`;
  }
  if (schema === undefined) return undefined;
  switch (await checks.check(schema, text)) {
    case 'satisfied':
      return undefined;
    case 'violated':
      return `${what}: not what the schema asks for`;
    case 'undecided':
      return `${what}: could not be checked against the schema within ${checkMsMax} ms`;
  }
}
