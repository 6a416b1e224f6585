/**
 * Writes our prompt and sampling as call options of an AI SDK language model, for its specifications v2, v3 and v4.
 *
 * Where the three differ here: v4 tags the data of files, and only v4 knows a reasoning effort.
 */
import type { LanguageModelV4CallOptions, LanguageModelV4FilePart, LanguageModelV4Message, LanguageModelV4Prompt } from '@ai-sdk/provider';
import { fail } from '../../errors.ts';
import { formatParameter, publicNames, type AnswerFormat, type Attachment, type Message, type Prompt, type Sampling } from '../../exchange.ts';

/** Versions of the language model specification that the AI SDK accepts. */
export type SpecificationVersion = 'v2' | 'v3' | 'v4';

const efforts = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh'] as const;

/** Sampling fields that an AI SDK model can be told. A model that cannot honour one says so by a warning. */
export function tellable(version: SpecificationVersion): (keyof Sampling)[] {
  const all: (keyof Sampling)[] = ['tokensMax', 'temperature', 'topP', 'topK', 'presencePenalty', 'frequencyPenalty', 'seed', 'stop', 'format'];
  return version === 'v4' ? [...all, 'reasoningEffort'] : all;
}

/**
 * The call options.
 * @throws {TandemError} parameter_unsupported, parameter_missing, parameter_invalid, ability_missing
 */
export function callOptions(id: string, version: SpecificationVersion, prompt: Prompt<string>, sampling: Sampling, takesTools: boolean): LanguageModelV4CallOptions {
  checkSampling(id, version, sampling);
  if (prompt.text !== undefined) fail('ability_missing', { message: `Member "${id}" answers messages only, not plain text to continue.`, member: id });
  if (prompt.prefix !== undefined && prompt.prefix !== '') fail('ability_missing', { message: `Member "${id}" cannot continue a given prefix.`, member: id });
  if (prompt.messages.length === 0) fail('parameter_missing', { message: 'Expected at least one message, got none.', param: 'messages' });
  const withTools = (prompt.tools?.length ?? 0) > 0;
  if (withTools && !takesTools) fail('parameter_unsupported', { message: `Member "${id}" takes no tools.`, param: 'tools', member: id });
  if (withTools && prompt.parallelToolCalls === false) fail('parameter_unsupported', { message: `Member "${id}" cannot be told to call one tool at a time.`, param: 'parallel_tool_calls', member: id });
  return {
    prompt: messagesOf(version, prompt.messages),
    ...samplingOptions(sampling),
    ...(withTools ? toolOptions(prompt) : {}),
  };
}

function samplingOptions(sampling: Sampling): Partial<LanguageModelV4CallOptions> {
  const { tokensMax, temperature, topP, topK, presencePenalty, frequencyPenalty, seed, stop, reasoningEffort } = sampling;
  const responseFormat = formatOption(sampling.format);
  return {
    ...(tokensMax === undefined ? {} : { maxOutputTokens: tokensMax }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
    ...(presencePenalty === undefined ? {} : { presencePenalty }),
    ...(frequencyPenalty === undefined ? {} : { frequencyPenalty }),
    ...(seed === undefined ? {} : { seed }),
    ...(stop === undefined || stop.length === 0 ? {} : { stopSequences: [...stop] }),
    ...(reasoningEffort === undefined ? {} : { reasoning: reasoningEffort as (typeof efforts)[number] }),
    ...(responseFormat === undefined ? {} : { responseFormat }),
  };
}

function formatOption(format: AnswerFormat | undefined): LanguageModelV4CallOptions['responseFormat'] {
  if (format?.type === 'json') return { type: 'json' };
  return format?.type === 'json-schema' ? { type: 'json', schema: format.schema, name: format.name } : undefined;
}

function toolOptions(prompt: Prompt<string>): Partial<LanguageModelV4CallOptions> {
  const tools = (prompt.tools ?? []).map(({ name, description, parameters, strict }) => ({
    type: 'function' as const,
    name,
    inputSchema: parameters ?? { type: 'object' as const, properties: {} },
    ...(description === undefined ? {} : { description }),
    ...(strict === undefined ? {} : { strict }),
  }));
  const choice = prompt.toolChoice;
  const toolChoice = choice === undefined ? {} : { toolChoice: typeof choice === 'object' ? { type: 'tool' as const, toolName: choice.name } : { type: choice } };
  return { tools, ...toolChoice };
}

/** The messages; results of tools that follow one another become one message. */
function messagesOf(version: SpecificationVersion, messages: readonly Message<string>[]): LanguageModelV4Prompt {
  const toolNames = new Map(messages.flatMap((message) => (message.toolCalls ?? []).map((call) => [call.id, call.name] as const)));
  const out: LanguageModelV4Message[] = [];
  for (const message of messages) {
    if (message.role === 'tool') {
      const id = message.toolCallId ?? '';
      const result = { type: 'tool-result' as const, toolCallId: id, toolName: toolNames.get(id) ?? message.name ?? 'tool', output: { type: 'text' as const, value: message.content } };
      const last = out.at(-1);
      if (last?.role === 'tool') last.content.push(result);
      else out.push({ role: 'tool', content: [result] });
    } else if (message.role === 'system') {
      out.push({ role: 'system', content: message.content });
    } else {
      const text = message.content === '' && ((message.attachments?.length ?? 0) > 0 || (message.toolCalls?.length ?? 0) > 0) ? [] : [{ type: 'text' as const, text: message.content }];
      const files = (message.attachments ?? []).map((attachment) => filePart(version, attachment));
      if (message.role === 'user') out.push({ role: 'user', content: [...text, ...files] });
      else out.push({ role: 'assistant', content: [...text, ...files, ...(message.toolCalls ?? []).map((call) => ({ type: 'tool-call' as const, toolCallId: call.id, toolName: call.name, input: jsonOf(call.arguments) }))] });
    }
  }
  return out;
}

function jsonOf(text: string): unknown {
  try {
    return text === '' ? {} : (JSON.parse(text) as unknown);
  } catch {
    return text;
  }
}

/** A picture, sound or file of an OpenAI message part as a file part. @throws {TandemError} parameter_invalid */
function filePart(version: SpecificationVersion, { type, value }: Attachment): LanguageModelV4FilePart {
  const inner = value[type] as { url?: unknown; data?: unknown; format?: unknown; file_data?: unknown; filename?: unknown } | undefined;
  const audio = type === 'input_audio' && typeof inner?.data === 'string' ? `data:audio/${inner.format === 'mp3' ? 'mpeg' : String(inner.format ?? 'wav')};base64,${inner.data}` : undefined;
  const address = audio ?? (type === 'file' ? inner?.file_data : inner?.url);
  if (typeof address !== 'string') fail('parameter_invalid', { message: `Expected ${type} with its data or address.`, param: 'messages' });
  const data = /^data:([^;,]+);base64,(.*)$/s.exec(address);
  const name = typeof inner?.filename === 'string' ? { filename: inner.filename } : {};
  if (data !== null) {
    const [, mediaType = '', bytes = ''] = data;
    return { type: 'file', mediaType, ...name, data: (version === 'v4' ? { type: 'data', data: bytes } : bytes) as LanguageModelV4FilePart['data'] };
  }
  if (!URL.canParse(address)) fail('parameter_invalid', { message: `Expected ${type} with an address or base64 data.`, param: 'messages' });
  const url = new URL(address);
  const mediaType = type === 'image_url' ? 'image/*' : 'application/octet-stream';
  return { type: 'file', mediaType, ...name, data: (version === 'v4' ? { type: 'url', url } : url) as LanguageModelV4FilePart['data'] };
}

function checkSampling(id: string, version: SpecificationVersion, sampling: Sampling): void {
  const known = tellable(version);
  for (const name of Object.keys(sampling) as (keyof Sampling)[]) {
    if (sampling[name] === undefined || known.includes(name)) continue;
    if (name === 'topLogprobs') fail('ability_missing', { message: `Member "${id}" reports no log-probabilities: the AI SDK has none.`, param: 'logprobs', member: id });
    fail('parameter_unsupported', { message: `Member "${id}" cannot be told ${publicNames[name]}.`, param: publicNames[name], member: id });
  }
  if (sampling.format?.type === 'grammar') fail('parameter_unsupported', { message: `Member "${id}" cannot enforce the answer format "grammar".`, param: formatParameter('grammar'), member: id });
  if (sampling.reasoningEffort !== undefined && !(efforts as readonly string[]).includes(sampling.reasoningEffort)) {
    fail('parameter_unsupported', { message: `Member "${id}" knows the efforts ${efforts.join(', ')}.`, param: 'reasoning_effort', member: id });
  }
}
