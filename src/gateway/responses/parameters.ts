/** Every parameter of POST /v1/responses, and what happens to it. */
import type { Message } from '../../exchange.ts';
import type { Draft } from '../parameters/draft.ts';
import { textFormatAt } from '../parameters/format.ts';
import { compileTable, honoured, refused, type ParameterTable } from '../parameters/parameter.ts';
import { flagAt, integerAt, listAt, objectAt, oneOf, onlyFields, textAt, unsupported } from '../parameters/reading.ts';
import { answerLength, basicSampling, efforts, identity, metadataAt, moreSampling } from '../parameters/sampling.ts';
import { readTandem } from '../parameters/tandem.ts';
import { toolChoiceAt, toolsAt } from '../parameters/tools.ts';
import { inputAt } from './input.ts';

/** What a Responses request adds to the draft. */
export interface ResponsesDraft extends Draft {
  input: readonly Message[];
  instructions: string | undefined;
  /** As the caller sent them, for the reply, which repeats them. */
  echo: { tools: unknown; toolChoice: unknown; format: unknown; effort: string | undefined };
  topLogprobs: number | undefined;
  logprobs: boolean;
}

const textFields = new Set(['format', 'verbosity']);
const reasoningFields = new Set(['effort', 'summary', 'generate_summary']);
const streamFields = new Set(['include_obfuscation']);

function readText(value: unknown, path: string, draft: ResponsesDraft): void {
  const text = objectAt(value, path);
  onlyFields(text, path, textFields);
  if (text.verbosity !== undefined && text.verbosity !== null && text.verbosity !== 'medium') unsupported(`${path}.verbosity`, 'the length is set by max_output_tokens');
  if (text.format === undefined || text.format === null) return;
  draft.format = textFormatAt(text.format, `${path}.format`);
  draft.echo.format = text.format;
}

function readReasoning(value: unknown, path: string, draft: ResponsesDraft): void {
  const reasoning = objectAt(value, path);
  onlyFields(reasoning, path, reasoningFields);
  for (const name of ['summary', 'generate_summary']) {
    if (reasoning[name] !== undefined && reasoning[name] !== null) unsupported(`${path}.${name}`, 'thoughts are not summarised');
  }
  if (reasoning.effort === undefined || reasoning.effort === null) return;
  draft.sampling.reasoningEffort = draft.echo.effort = oneOf(reasoning.effort, `${path}.effort`, efforts);
}

function readInclude(value: unknown, path: string, draft: ResponsesDraft): void {
  listAt(value, path).forEach((entry, index) => {
    if (textAt(entry, `${path}[${index}]`) !== 'message.output_text.logprobs') unsupported(`${path}[${index}]`, 'only message.output_text.logprobs can be included');
    draft.logprobs = true;
  });
}

function readStreamOptions(value: unknown, path: string, draft: ResponsesDraft): void {
  const options = objectAt(value, path);
  onlyFields(options, path, streamFields);
  draft.streamOptions = true;
  const { include_obfuscation: padded } = options;
  if (padded !== undefined && padded !== null && flagAt(padded, `${path}.include_obfuscation`)) unsupported(`${path}.include_obfuscation`, 'events are not padded');
}

const { grammar: _grammar, ...sampling } = moreSampling;

/** The table of the Responses endpoint. */
export const responsesTable: ParameterTable<ResponsesDraft> = {
  model: honoured('as for chat', (value, path, draft) => void (draft.model = textAt(value, path, 1, 256))),
  input: honoured('a text, or items: message, function_call, function_call_output, reasoning', (value, path, draft) => void (draft.input = inputAt(value, path))),
  instructions: honoured('a system message before the input', (value, path, draft) => void (draft.instructions = textAt(value, path))),
  ...basicSampling,
  ...sampling,
  max_output_tokens: answerLength,
  top_logprobs: honoured('0 to 20 alternatives a token', (value, path, draft) => void (draft.topLogprobs = integerAt(value, path, 0, 20))),
  include: honoured('message.output_text.logprobs', readInclude),
  text: honoured('format: text, json_object or json_schema', readText),
  tools: honoured('up to 128 functions', (value, path, draft) => {
    draft.tools = toolsAt(value, path, true);
    draft.echo.tools = value;
  }),
  tool_choice: honoured('none, auto, required, or one function', (value, path, draft) => {
    draft.toolChoice = toolChoiceAt(value, path, true);
    draft.echo.toolChoice = typeof draft.toolChoice === 'object' ? { type: 'function', ...draft.toolChoice } : draft.toolChoice;
  }),
  parallel_tool_calls: honoured('true or false', (value, path, draft) => void (draft.parallelToolCalls = flagAt(value, path))),
  reasoning: honoured(`effort: one of ${efforts.join(', ')}`, readReasoning),
  stream: honoured('send the answer as server-sent events', (value, path, draft) => void (draft.stream = flagAt(value, path))),
  stream_options: honoured('include_obfuscation only as false', readStreamOptions),
  metadata: honoured('up to 16 pairs; given back in the reply', (value, path, draft) => void (draft.metadata = metadataAt(value, path))),
  ...identity,
  tandem: honoured('as for chat', readTandem),
  store: refused('answers are not kept, and replies say store: false', [false]),
  previous_response_id: refused('answers are not kept; send the whole conversation as input'),
  conversation: refused('conversations are not kept; send the whole conversation as input'),
  background: refused('answers come while the connection is open', [false]),
  truncation: refused('a prompt that is too long is refused', ['disabled']),
  max_tool_calls: refused('only functions of the caller can be called'),
  prompt: refused('prompt templates are not kept'),
  context_management: refused('the input is taken as it is'),
  moderation: refused('guards are set in the configuration'),
  access_programs: refused('there are no such programs'),
  image: refused('answers are text'),
};

/** The table, ready for reading. */
export const responsesParameters = compileTable(responsesTable);
