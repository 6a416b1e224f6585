/**
 * Writes the JSON that a server is sent: our prompt and sampling in the server's words.
 *
 * What the server cannot honour is refused by its public name, never dropped.
 */
import { fail } from '../../errors.ts';
import type { MemberConfig } from '../../config.ts';
import { formatParameter, publicNames, type AnswerFormat, type Message, type Prompt, type Sampling } from '../../exchange.ts';

/** Settings of an `openai` member. */
export type OpenAiSettings = Extract<MemberConfig, { engine: 'openai' }>;

/** A request ready to be sent. */
export interface WireRequest {
  readonly path: '/chat/completions' | '/completions';
  readonly fields: Record<string, unknown>;
  /** Characters of the prompt, to estimate tokens where the server counts none. */
  readonly promptCharacters: number;
}

/** Sampling fields that OpenAI does not know. */
const beyond = ['topK', 'minP', 'repetitionPenalty'] as const satisfies readonly (keyof typeof publicNames)[];

/** Sampling fields that a server with these settings honours. vLLM takes the three that OpenAI does not know, others those that are named. */
export function honoured(settings: OpenAiSettings): (keyof Sampling)[] {
  const vllm = settings.promptLogprobs === 'vllm' || settings.continuesPrefix === 'vllm';
  const always: (keyof Sampling)[] = ['tokensMax', 'temperature', 'topP', 'presencePenalty', 'frequencyPenalty', 'seed', 'logitBias', 'stop', 'format', 'reasoningEffort'];
  return [...always, ...(settings.logprobs ? (['topLogprobs'] as const) : []), ...beyond.filter((name) => vllm || settings.extensions.includes(publicNames[name]))];
}

/** Forms of an answer that a server with these settings enforces. */
export function formatsOf(settings: OpenAiSettings): AnswerFormat['type'][] {
  return ['text', 'json', ...(settings.jsonSchema ? (['json-schema'] as const) : []), ...(settings.extensions.includes('grammar') ? (['grammar'] as const) : [])];
}

/** What the server of each member honours; asked with every request. */
const knownTo = new WeakMap<OpenAiSettings, readonly (keyof Sampling)[]>();

/**
 * The request for an answer.
 * @throws {TandemError} parameter_unsupported, ability_missing, parameter_missing
 */
export function answerRequest(id: string, settings: OpenAiSettings, prompt: Prompt<string>, sampling: Sampling): WireRequest {
  checkSampling(id, settings, sampling);
  return prompt.text === undefined ? chat(id, settings, prompt, sampling) : completion(settings, prompt.text + (prompt.prefix ?? ''), sampling);
}

function completion(settings: OpenAiSettings, text: string, sampling: Sampling): WireRequest {
  if (text === '') fail('parameter_missing', { message: 'Expected a prompt, got an empty text.', param: 'prompt' });
  const fields: Record<string, unknown> = { model: settings.model, prompt: text };
  if (sampling.tokensMax !== undefined) fields['max_tokens'] = sampling.tokensMax;
  if (sampling.topLogprobs !== undefined) fields['logprobs'] = sampling.topLogprobs;
  addShared(fields, sampling);
  return { path: '/completions', fields, promptCharacters: text.length };
}

function chat(id: string, settings: OpenAiSettings, prompt: Prompt<string>, sampling: Sampling): WireRequest {
  if (prompt.messages.length === 0) fail('parameter_missing', { message: 'Expected at least one message, got none.', param: 'messages' });
  const withTools = (prompt.tools?.length ?? 0) > 0;
  if (withTools && !settings.tools) fail('parameter_unsupported', { message: `Member "${id}" takes no tools.`, param: 'tools', member: id });
  const { topLogprobs, reasoningEffort } = sampling;
  const fields: Record<string, unknown> = { model: settings.model, messages: chatMessages(id, settings, prompt) };
  if (sampling.tokensMax !== undefined) fields[settings.tokensMaxField] = sampling.tokensMax;
  addShared(fields, sampling);
  if (reasoningEffort !== undefined) fields['reasoning_effort'] = reasoningEffort;
  if (topLogprobs !== undefined) fields['logprobs'] = true;
  if (topLogprobs !== undefined && topLogprobs > 0) fields['top_logprobs'] = topLogprobs;
  if (withTools) Object.assign(fields, toolFields(prompt));
  if (prompt.prefix !== undefined) Object.assign(fields, continuation(settings, prompt.prefix));
  return { path: '/chat/completions', fields, promptCharacters: charactersOf(prompt) };
}

/** The messages of a chat, the prefix included. @throws {TandemError} ability_missing, parameter_unsupported */
export function chatMessages(id: string, settings: OpenAiSettings, prompt: Prompt<string>): unknown[] {
  if (prompt.prefix !== undefined && prompt.prefix !== '' && settings.continuesPrefix === 'none') {
    fail('ability_missing', { message: `Member "${id}" cannot continue a given prefix (continuesPrefix is "none").`, member: id });
  }
  const messages = prompt.messages.map((message, index) => wireMessage(id, settings, message, index));
  if (prompt.prefix !== undefined && prompt.prefix !== '') messages.push({ role: 'assistant', content: prompt.prefix });
  return messages;
}

/** The fields that make the last message be continued rather than answered. */
export function continuation(settings: OpenAiSettings, prefix: string | undefined): Record<string, unknown> {
  if (prefix === undefined || prefix === '' || settings.continuesPrefix !== 'vllm') return {};
  return { add_generation_prompt: false, continue_final_message: true };
}

/** Characters of all messages, for estimates. */
export function charactersOf(prompt: Prompt<string>): number {
  return prompt.messages.reduce((sum, message) => sum + message.content.length + 8, prompt.prefix?.length ?? 0);
}

function wireMessage(id: string, settings: OpenAiSettings, message: Message<string>, index: number): unknown {
  if (message.attachments === undefined && message.toolCalls === undefined && message.toolCallId === undefined && message.name === undefined) return { role: message.role, content: message.content };
  const attachments = message.attachments ?? [];
  if (attachments.length > 0 && !settings.attachments) {
    fail('parameter_unsupported', { message: `Member "${id}" takes no pictures, sound or files.`, param: `messages[${index}].content`, member: id });
  }
  const text = attachments.length === 0 || message.content === '' ? [] : [{ type: 'text', text: message.content }];
  const calls = message.toolCalls?.map((call) => ({ id: call.id, type: 'function', function: { name: call.name, arguments: call.arguments } }));
  return {
    role: message.role,
    content: attachments.length === 0 ? message.content : [...text, ...attachments.map((attachment) => ({ type: attachment.type, ...attachment.value }))],
    ...(message.name === undefined ? {} : { name: message.name }),
    ...(calls === undefined || calls.length === 0 ? {} : { tool_calls: calls }),
    ...(message.toolCallId === undefined ? {} : { tool_call_id: message.toolCallId }),
  };
}

function toolFields(prompt: Prompt<string>): Record<string, unknown> {
  const choice = prompt.toolChoice;
  return {
    tools: prompt.tools?.map(({ name, description, parameters, strict }) => ({ type: 'function', function: { name, description, parameters, strict } })),
    tool_choice: typeof choice === 'object' ? { type: 'function', function: { name: choice.name } } : choice,
    parallel_tool_calls: prompt.parallelToolCalls,
  };
}

/** Public names of the settings that are sent as they are. */
const sentAsTheyAre = ['temperature', 'topP', 'topK', 'minP', 'presencePenalty', 'frequencyPenalty', 'repetitionPenalty', 'seed', 'logitBias'] as const satisfies readonly (keyof Sampling)[];

/** Adds the settings that both endpoints take. Only what is there: writing JSON looks at every field, also at those that it leaves out. */
function addShared(fields: Record<string, unknown>, sampling: Sampling): void {
  for (const name of sentAsTheyAre) {
    const value = sampling[name];
    if (value !== undefined) fields[publicNames[name]] = value;
  }
  const { stop } = sampling;
  if (stop !== undefined && stop.length > 0) fields['stop'] = stop;
  const format = responseFormat(sampling.format);
  if (format !== undefined) fields['response_format'] = format;
  if (sampling.format?.type === 'grammar') fields['grammar'] = sampling.format.gbnf;
}

function responseFormat(format: AnswerFormat | undefined): unknown {
  if (format?.type === 'json') return { type: 'json_object' };
  if (format?.type === 'json-schema') return { type: 'json_schema', json_schema: { name: format.name, schema: format.schema, strict: format.strict } };
  return undefined;
}

function checkSampling(id: string, settings: OpenAiSettings, sampling: Sampling): void {
  let known = knownTo.get(settings);
  if (known === undefined) knownTo.set(settings, (known = honoured(settings)));
  for (const name of Object.keys(sampling) as (keyof Sampling)[]) {
    if (sampling[name] === undefined || known.includes(name)) continue;
    if (name === 'topLogprobs') fail('ability_missing', { message: `Member "${id}" reports no log-probabilities (logprobs is off).`, param: 'logprobs', member: id });
    fail('parameter_unsupported', { message: `Member "${id}" cannot honour ${publicNames[name]} (extensions does not name it).`, param: publicNames[name], member: id });
  }
  if ((sampling.topLogprobs ?? 0) > settings.topLogprobsMax) {
    fail('parameter_unsupported', { message: `Member "${id}" reports at most ${settings.topLogprobsMax} alternatives a token, ${sampling.topLogprobs} were asked for.`, param: 'top_logprobs', member: id });
  }
  const format = sampling.format?.type;
  if (format !== undefined && !formatsOf(settings).includes(format)) {
    fail('parameter_unsupported', { message: `Member "${id}" cannot enforce the answer format "${format}" (${format === 'grammar' ? 'extensions does not name it' : 'jsonSchema is off'}).`, param: formatParameter(format), member: id });
  }
}
