/** Reads the call options of the AI SDK as a request to Tandem. The reverse of `prompt.ts`. */
import type { LanguageModelV4CallOptions, LanguageModelV4FilePart, LanguageModelV4Message, LanguageModelV4ToolResultPart, SharedV4Warning } from '@ai-sdk/provider';
import { fail } from '../errors.ts';
import type { AnswerFormat, Attachment, Message, Policy, Prompt, Received, Sampling, ToolDefinition } from '../exchange.ts';

/** What `providerOptions.tandem` may hold. */
export interface TandemOptions extends Partial<Policy> {
  /** Recipe knobs. */
  readonly knobs?: Readonly<Record<string, unknown>>;
  /** Sampling that the AI SDK has no words for: minP, repetitionPenalty, logitBias, topLogprobs, a grammar. */
  readonly sampling?: Sampling;
}

const optionNames: { readonly [K in keyof TandemOptions]-?: true } = { objective: true, privacyClass: true, limits: true, knobs: true, sampling: true };

/** What stands under `providerOptions.tandem`; what the fields hold is checked by whoever runs the request. @throws {TandemError} parameter_unknown */
export function tandemOptions({ providerOptions }: Pick<LanguageModelV4CallOptions, 'providerOptions'>): TandemOptions {
  const options = providerOptions?.['tandem'] ?? {};
  for (const name in options) {
    const param = `providerOptions.tandem.${name.slice(0, 64)}`;
    if (!Object.hasOwn(optionNames, name)) fail('parameter_unknown', { message: `${param}: there is no such option; there are ${Object.keys(optionNames).join(', ')}.`, param });
  }
  return options as TandemOptions;
}

/** The request, and what of the options could not be taken over. @throws {TandemError} parameter_unsupported, parameter_unknown */
export function receivedOf(model: string, options: LanguageModelV4CallOptions): { readonly received: Received; readonly warnings: SharedV4Warning[] } {
  const warnings: SharedV4Warning[] = [];
  const { objective, limits, privacyClass, knobs = {}, sampling = {} } = tandemOptions(options);
  const received: Received = {
    surface: 'library',
    model,
    prompt: promptOf(options, warnings),
    sampling: { ...samplingOf(options), ...sampling },
    answers: 1,
    policy: { ...(objective === undefined ? {} : { objective }), ...(limits === undefined ? {} : { limits }), ...(privacyClass === undefined ? {} : { privacyClass }) },
    knobs,
    explain: false,
    key: undefined,
  };
  return { received, warnings };
}

function promptOf(options: LanguageModelV4CallOptions, warnings: SharedV4Warning[]): Prompt<string> {
  const tools: ToolDefinition[] = [];
  for (const tool of options.tools ?? []) {
    if (tool.type === 'provider') warnings.push({ type: 'unsupported', feature: `provider-defined tool ${tool.id}` });
    else tools.push({ name: tool.name, parameters: tool.inputSchema as ToolDefinition['parameters'] & object, ...(tool.description === undefined ? {} : { description: tool.description }), ...(tool.strict === undefined ? {} : { strict: tool.strict }) });
  }
  const choice = options.toolChoice;
  return {
    messages: options.prompt.flatMap((message) => messagesOf(message)),
    ...(tools.length === 0 ? {} : { tools }),
    ...(tools.length === 0 || choice === undefined ? {} : { toolChoice: choice.type === 'tool' ? { name: choice.toolName } : choice.type }),
  };
}

function messagesOf(message: LanguageModelV4Message): Message<string>[] {
  if (message.role === 'system') return [{ role: 'system', content: message.content }];
  if (message.role === 'tool') {
    return message.content.flatMap((part) => (part.type === 'tool-result' ? [{ role: 'tool' as const, content: resultText(part), toolCallId: part.toolCallId }] : []));
  }
  let content = '';
  const attachments: Attachment[] = [];
  const toolCalls: { id: string; name: string; arguments: string }[] = [];
  const results: Message<string>[] = [];
  for (const part of message.content) {
    if (part.type === 'text') content += part.text;
    else if (part.type === 'file') attachments.push(attachmentOf(part));
    else if (part.type === 'tool-call') toolCalls.push({ id: part.toolCallId, name: part.toolName, arguments: typeof part.input === 'string' ? part.input : JSON.stringify(part.input ?? {}) });
    else if (part.type === 'tool-result') results.push({ role: 'tool', content: resultText(part), toolCallId: part.toolCallId });
  }
  const own: Message<string> = { role: message.role, content, ...(attachments.length === 0 ? {} : { attachments }), ...(toolCalls.length === 0 ? {} : { toolCalls }) };
  return [own, ...results];
}

function resultText({ output }: LanguageModelV4ToolResultPart): string {
  switch (output.type) {
    case 'text':
    case 'error-text':
      return output.value;
    case 'json':
    case 'error-json':
      return JSON.stringify(output.value);
    case 'execution-denied':
      return `The call was denied${output.reason === undefined ? '.' : `: ${output.reason}`}`;
    case 'content':
      return output.value.map((part) => (part.type === 'text' ? part.text : JSON.stringify(part))).join('\n');
  }
}

/** A file part as the OpenAI message part of its kind. @throws {TandemError} parameter_unsupported */
function attachmentOf({ data, mediaType, filename }: LanguageModelV4FilePart): Attachment {
  if (data.type === 'reference' || (data.type === 'url' && !mediaType.startsWith('image/'))) {
    fail('parameter_unsupported', { message: `Expected a file of type ${mediaType} as data, got ${data.type === 'url' ? 'an address' : 'a reference'}.`, param: 'messages' });
  }
  const base64 = data.type === 'text' ? Buffer.from(data.text).toString('base64') : data.type === 'data' ? (typeof data.data === 'string' ? data.data : Buffer.from(data.data).toString('base64')) : '';
  const address = data.type === 'url' ? data.url.href : `data:${mediaType};base64,${base64}`;
  if (mediaType.startsWith('image/')) return { type: 'image_url', value: { type: 'image_url', image_url: { url: address } } };
  if (mediaType.startsWith('audio/')) return { type: 'input_audio', value: { type: 'input_audio', input_audio: { data: base64, format: mediaType === 'audio/mpeg' ? 'mp3' : mediaType.slice(6) } } };
  return { type: 'file', value: { type: 'file', file: { file_data: address, ...(filename === undefined ? {} : { filename }) } } };
}

function samplingOf(options: LanguageModelV4CallOptions): Sampling {
  const { maxOutputTokens, temperature, topP, topK, presencePenalty, frequencyPenalty, seed, stopSequences, reasoning, responseFormat } = options;
  const format = formatOf(responseFormat);
  return {
    ...(maxOutputTokens === undefined ? {} : { tokensMax: maxOutputTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
    ...(presencePenalty === undefined ? {} : { presencePenalty }),
    ...(frequencyPenalty === undefined ? {} : { frequencyPenalty }),
    ...(seed === undefined ? {} : { seed }),
    ...(stopSequences === undefined || stopSequences.length === 0 ? {} : { stop: stopSequences }),
    ...(reasoning === undefined || reasoning === 'provider-default' ? {} : { reasoningEffort: reasoning }),
    ...(format === undefined ? {} : { format }),
  };
}

function formatOf(format: LanguageModelV4CallOptions['responseFormat']): AnswerFormat | undefined {
  if (format?.type !== 'json') return undefined;
  if (format.schema === undefined) return { type: 'json' };
  return { type: 'json-schema', name: format.name ?? 'answer', schema: format.schema as { readonly [key: string]: unknown }, strict: true };
}
