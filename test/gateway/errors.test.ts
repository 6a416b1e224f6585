/**
 * What callers do wrong in a body, by code: the reply's status, shape and `param`. Every other code is listed (`elsewhere`) with the test in
 * which a real cause produces it.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { catalogue, TandemError, type ErrorCode } from '../../src/errors.ts';
import type { Part } from '../../src/exchange.ts';
import { chatTable } from '../../src/gateway/chat/parameters.ts';
import { completionsTable } from '../../src/gateway/completions/parameters.ts';
import { embeddingsTable } from '../../src/gateway/embeddings.ts';
import { responsesTable } from '../../src/gateway/responses/parameters.ts';
import { fakeRuntime, withGateway } from './fake-runtime.ts';

const hi = [{ role: 'user', content: 'hi' }];
const tool = { type: 'function', function: { name: 'f' } };
const deep = (levels: number): object => (levels === 0 ? {} : { a: deep(levels - 1) });

type Row = readonly [endpoint: string, body: unknown, code: ErrorCode, param?: string | undefined];
const chat = (body: object, code: ErrorCode, param?: string): Row => ['chat/completions', { messages: hi, ...body }, code, param];
const completion = (body: object, code: ErrorCode, param?: string): Row => ['completions', { prompt: 'hi', ...body }, code, param];
const response = (body: object, code: ErrorCode, param?: string): Row => ['responses', { input: 'hi', ...body }, code, param];
const embedding = (body: object, code: ErrorCode, param?: string): Row => ['embeddings', { input: 'hi', ...body }, code, param];

const rows: readonly Row[] = [
  // messages
  ['chat/completions', {}, 'parameter_missing', 'messages'],
  chat({ messages: null }, 'parameter_missing', 'messages'),
  chat({ messages: 'hi' }, 'parameter_invalid', 'messages'),
  chat({ messages: [] }, 'parameter_invalid', 'messages'),
  chat({ messages: [1] }, 'parameter_invalid', 'messages[0]'),
  chat({ messages: [{}] }, 'parameter_missing', 'messages[0].role'),
  chat({ messages: [{ role: 'boss', content: '' }] }, 'parameter_invalid', 'messages[0].role'),
  chat({ messages: [{ role: 'function', content: '', name: 'f' }] }, 'parameter_unsupported', 'messages[0].role'),
  chat({ messages: [{ role: 'user' }] }, 'parameter_missing', 'messages[0].content'),
  chat({ messages: [{ role: 'user', content: 5 }] }, 'parameter_invalid', 'messages[0].content'),
  chat({ messages: [{ role: 'user', content: [] }] }, 'parameter_invalid', 'messages[0].content'),
  chat({ messages: [{ role: 'user', content: [{ type: 'dance' }] }] }, 'parameter_invalid', 'messages[0].content[0].type'),
  chat({ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'parameter_invalid', 'messages[0].content[0].text'),
  chat({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: 'x' }] }] }, 'parameter_invalid', 'messages[0].content[0].image_url'),
  chat({ messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: { data: 'x', format: 'ogg' } }] }] }, 'parameter_invalid', 'messages[0].content[0].input_audio.format'),
  chat({ messages: [{ role: 'system', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] }, 'parameter_invalid', 'messages[0].content[0].type'),
  chat({ messages: [{ role: 'user', content: 'x', mood: 'good' }] }, 'parameter_unknown', 'messages[0].mood'),
  chat({ messages: [{ role: 'assistant' }] }, 'parameter_missing', 'messages[0].content'),
  chat({ messages: [{ role: 'assistant', content: null, function_call: { name: 'f' } }] }, 'parameter_unsupported', 'messages[0].function_call'),
  chat({ messages: [{ role: 'assistant', tool_calls: [{ id: 'a', type: 'custom' }] }] }, 'parameter_unsupported', 'messages[0].tool_calls[0].type'),
  chat({ messages: [{ role: 'tool', content: 'x' }] }, 'parameter_missing', 'messages[0].tool_call_id'),
  chat({ messages: [{ role: 'tool', content: 'x', tool_call_id: 'a' }] }, 'parameter_invalid', 'messages[0].tool_call_id'),
  // names and types
  chat({ nonsense: 1 }, 'parameter_unknown', 'nonsense'),
  chat({ model: '' }, 'parameter_invalid', 'model'),
  chat({ model: 5 }, 'parameter_invalid', 'model'),
  chat({ model: 'nobody' }, 'model_not_found', 'model'),
  chat({ model: 'tandem/nobody' }, 'model_not_found', 'model'),
  chat({ temperature: 2.1 }, 'parameter_invalid', 'temperature'),
  chat({ temperature: '1' }, 'parameter_invalid', 'temperature'),
  chat({ top_p: -1 }, 'parameter_invalid', 'top_p'),
  chat({ n: 0 }, 'parameter_invalid', 'n'),
  chat({ n: 17 }, 'parameter_invalid', 'n'),
  chat({ n: 1.5 }, 'parameter_invalid', 'n'),
  chat({ stop: ['a', 'b', 'c', 'd', 'e'] }, 'parameter_invalid', 'stop'),
  chat({ stop: [''] }, 'parameter_invalid', 'stop[0]'),
  chat({ seed: 1.5 }, 'parameter_invalid', 'seed'),
  chat({ logit_bias: { hello: 1 } }, 'parameter_invalid', 'logit_bias'),
  chat({ logit_bias: { 5: 101 } }, 'parameter_invalid', 'logit_bias.5'),
  chat({ max_tokens: 0 }, 'parameter_invalid', 'max_tokens'),
  chat({ max_tokens: 5, max_completion_tokens: 6 }, 'parameter_invalid', 'max_completion_tokens'),
  chat({ max_tokens: 5_000 }, 'parameter_invalid', 'max_completion_tokens'),
  chat({ model: 'small', max_tokens: 2_048 }, 'context_too_long', 'max_completion_tokens'),
  chat({ top_logprobs: 3 }, 'parameter_invalid', 'top_logprobs'),
  chat({ logprobs: true, top_logprobs: 21 }, 'parameter_invalid', 'top_logprobs'),
  chat({ stream: 'yes' }, 'parameter_invalid', 'stream'),
  chat({ stream_options: { include_usage: true } }, 'parameter_invalid', 'stream_options'),
  chat({ stream: true, stream_options: { include_obfuscation: true } }, 'parameter_unsupported', 'stream_options.include_obfuscation'),
  chat({ stream: true, stream_options: { what: true } }, 'parameter_unknown', 'stream_options.what'),
  chat({ top_k: 1.5 }, 'parameter_invalid', 'top_k'),
  chat({ min_p: 2 }, 'parameter_invalid', 'min_p'),
  chat({ repetition_penalty: 0 }, 'parameter_invalid', 'repetition_penalty'),
  chat({ reasoning_effort: 'heroic' }, 'parameter_invalid', 'reasoning_effort'),
  chat({ metadata: { a: 1 } }, 'parameter_invalid', 'metadata.a'),
  chat({ grammar: 'root ::= "x"', response_format: { type: 'json_object' } }, 'parameter_invalid', 'grammar'),
  // response_format and tools
  chat({ response_format: { type: 'yaml' } }, 'parameter_invalid', 'response_format.type'),
  chat({ response_format: { type: 'json_schema' } }, 'parameter_missing', 'response_format.json_schema'),
  chat({ response_format: { type: 'json_schema', json_schema: { name: 'x' } } }, 'parameter_missing', 'response_format.json_schema.schema'),
  chat({ response_format: { type: 'json_schema', json_schema: { name: 'x y', schema: {} } } }, 'parameter_invalid', 'response_format.json_schema.name'),
  chat({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema: deep(100) } } }, 'parameter_invalid', 'response_format.json_schema.schema'),
  chat({ tools: [{ type: 'custom', custom: {} }] }, 'parameter_unsupported', 'tools[0].type'),
  chat({ tools: [{ type: 'function' }] }, 'parameter_missing', 'tools[0].function'),
  chat({ tools: [{ type: 'function', function: { name: 'a b' } }] }, 'parameter_invalid', 'tools[0].function.name'),
  chat({ tools: [tool, tool] }, 'parameter_invalid', 'tools[1].function.name'),
  chat({ tool_choice: 'required' }, 'parameter_invalid', 'tool_choice'),
  chat({ tools: [tool], tool_choice: { type: 'function', function: { name: 'g' } } }, 'parameter_invalid', 'tool_choice'),
  chat({ tools: [tool], tool_choice: { type: 'allowed_tools' } }, 'parameter_unsupported', 'tool_choice.type'),
  // nothing is dropped: what a part, a call or a choice cannot have is refused
  ...(['text', 'refusal'] as const).map((type) => chat({ messages: [{ role: 'user', content: [{ type, [type]: 'x', mood: 1 }] }] }, 'parameter_unknown', 'messages[0].content[0].mood')),
  chat({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' }, text: 'y' }] }] }, 'parameter_unknown', 'messages[0].content[0].text'),
  chat({ messages: [{ role: 'assistant', content: null, tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '' }, mood: 1 }] }] }, 'parameter_unknown', 'messages[0].tool_calls[0].mood'),
  chat({ messages: [{ role: 'assistant', content: null, tool_calls: [{ id: 'a', function: { name: 'f', arguments: '', mood: 1 } }] }] }, 'parameter_unknown', 'messages[0].tool_calls[0].function.mood'),
  chat({ tools: [tool], tool_choice: { type: 'function', function: { name: 'f' }, mode: 'x' } }, 'parameter_unknown', 'tool_choice.mode'),
  chat({ tools: [tool], tool_choice: { type: 'function', function: { name: 'f', mode: 'x' } } }, 'parameter_unknown', 'tool_choice.function.mode'),
  response({ input: [{ role: 'user', content: [{ type: 'input_text', text: 'x', mood: 1 }] }] }, 'parameter_unknown', 'input[0].content[0].mood'),
  response({ input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x', file_id: 'y' }] }] }, 'parameter_unsupported', 'input[0].content[0].file_id'),
  response({ tools: [{ type: 'function', name: 'f' }], tool_choice: { type: 'function', name: 'f', deep: deep(30) } }, 'parameter_unknown', 'tool_choice.deep'),
  // known, refused by name
  ...(['audio', 'prediction', 'web_search_options', 'functions', 'function_call', 'moderation', 'prompt_cache_options'] as const).map((name) => chat({ [name]: {} }, 'parameter_unsupported', name)),
  chat({ store: true }, 'parameter_unsupported', 'store'),
  chat({ modalities: ['text', 'audio'] }, 'parameter_unsupported', 'modalities'),
  chat({ service_tier: 'flex' }, 'parameter_unsupported', 'service_tier'),
  chat({ verbosity: 'low' }, 'parameter_unsupported', 'verbosity'),
  // the tandem object
  chat({ tandem: 1 }, 'parameter_invalid', 'tandem'),
  chat({ tandem: { what: 1 } }, 'parameter_unknown', 'tandem.what'),
  chat({ tandem: { objective: 'fame' } }, 'parameter_invalid', 'tandem.objective'),
  chat({ tandem: { privacy: 'open' } }, 'parameter_invalid', 'tandem.privacy'),
  chat({ tandem: { limits: { costUsdMax: -1 } } }, 'parameter_invalid', 'tandem.limits.costUsdMax'),
  chat({ tandem: { limits: { places: ['moon'] } } }, 'parameter_invalid', 'tandem.limits.places[0]'),
  chat({ tandem: { limits: { members: ['nobody'] } } }, 'parameter_invalid', 'tandem.limits.members[0]'),
  chat({ tandem: { limits: { what: 1 } } }, 'parameter_unknown', 'tandem.limits.what'),
  chat({ tandem: { privacy: 'confidential', limits: { places: ['cloud'] } } }, 'policy_violated', 'tandem.limits.places'),
  chat({ model: 'tandem/cascade', tandem: { recipe: 'small' } }, 'parameter_invalid', 'tandem.recipe'),
  chat({ tandem: { recipe: 'nobody' } }, 'model_not_found', 'tandem.recipe'),
  chat({ model: 'tandem/auto', tandem: { recipe: 'nobody' }, stream: true }, 'model_not_found', 'tandem.recipe'),
  // completions
  ['completions', {}, 'parameter_missing', 'prompt'],
  completion({ prompt: [1, 2] }, 'parameter_unsupported', 'prompt'),
  completion({ prompt: ['a', 'b'] }, 'parameter_unsupported', 'prompt'),
  completion({ prompt: 5 }, 'parameter_invalid', 'prompt'),
  completion({ suffix: 'x' }, 'parameter_unsupported', 'suffix'),
  completion({ best_of: 3 }, 'parameter_unsupported', 'best_of'),
  completion({ echo: true, logprobs: 1 }, 'parameter_unsupported', 'echo'),
  completion({ logprobs: 6 }, 'parameter_invalid', 'logprobs'),
  completion({ messages: hi }, 'parameter_unknown', 'messages'),
  completion({ max_tokens: 1e9 }, 'parameter_invalid', 'max_tokens'),
  // responses
  ['responses', {}, 'parameter_missing', 'input'],
  response({ input: [] }, 'parameter_invalid', 'input'),
  response({ input: [{ type: 'item_reference', id: 'x' }] }, 'parameter_unsupported', 'input[0].type'),
  response({ input: [{ role: 'user' }] }, 'parameter_missing', 'input[0].content'),
  response({ input: [{ type: 'function_call_output', call_id: 'x', output: '' }] }, 'parameter_invalid', 'input[0].call_id'),
  response({ input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'x' }] }] }, 'parameter_unsupported', 'input[0].content[0].file_id'),
  ...([['previous_response_id', 'resp_1'], ['conversation', 'c'], ['background', true], ['store', true], ['truncation', 'auto'], ['max_tool_calls', 1], ['prompt', {}], ['context_management', []], ['moderation', {}], ['access_programs', {}], ['image', {}]] as const).map(([name, value]) => response({ [name]: value }, 'parameter_unsupported', name)),
  response({ tools: [{ type: 'web_search' }] }, 'parameter_unsupported', 'tools[0].type'),
  response({ include: ['reasoning.encrypted_content'] }, 'parameter_unsupported', 'include[0]'),
  response({ top_logprobs: 2 }, 'parameter_invalid', 'top_logprobs'),
  response({ reasoning: { summary: 'auto' } }, 'parameter_unsupported', 'reasoning.summary'),
  response({ text: { verbosity: 'high' } }, 'parameter_unsupported', 'text.verbosity'),
  response({ max_output_tokens: 1e6 }, 'parameter_invalid', 'max_output_tokens'),
  response({ max_tokens: 5 }, 'parameter_unknown', 'max_tokens'),
  // embeddings
  ['embeddings', {}, 'parameter_missing', 'input'],
  embedding({ input: '' }, 'parameter_invalid', 'input'),
  embedding({ input: [1, 2] }, 'parameter_unsupported', 'input'),
  embedding({ input: ['a', 1] }, 'parameter_invalid', 'input[1]'),
  embedding({ encoding_format: 'int8' }, 'parameter_invalid', 'encoding_format'),
  embedding({ dimensions: 0 }, 'parameter_invalid', 'dimensions'),
  embedding({ model: 'nobody' }, 'model_not_found', 'model'),
];

/** Codes that no body causes, by the test file in which a real cause produces them. */
const elsewhere: Readonly<Record<string, readonly ErrorCode[]>> = {
  'test/gateway/http.test.ts': ['body_malformed', 'body_too_large', 'headers_too_large', 'request_malformed', 'media_type_unsupported', 'route_not_found', 'method_not_allowed', 'trace_not_found', 'key_missing', 'key_invalid', 'host_refused', 'overloaded', 'shutting_down', 'request_timeout', 'cancelled'],
  'src/policy/admission.test.ts': ['key_forbidden', 'rate_limited'],
  'test/recipes/kitchen.test.ts': ['knob_invalid', 'ability_missing', 'internal'],
  'test/recipes/cascade.test.ts': ['recipe_unavailable'],
  'src/guard/guard.test.ts': ['input_refused', 'output_refused'],
  'test/money/limits.test.ts': ['budget_exhausted', 'cost_unknown'],
  'test/gateway/stalled.test.ts': ['deadline_exceeded'],
  'test/faults/upstream.test.ts': ['upstream_unreachable', 'upstream_timeout', 'upstream_refused', 'upstream_auth', 'upstream_rate_limited', 'upstream_failed', 'upstream_malformed', 'upstream_truncated'],
  'src/decoding/json-schema.test.ts': ['schema_unsupported'],
  'test/engine/llama.test.ts': ['model_file_missing', 'model_file_invalid', 'model_unsupported', 'engine_failed', 'engine_out_of_memory'],
  'src/models/llama/platform.test.ts': ['engine_unavailable'],
  'src/models/recorded/recorded.test.ts': ['recording_missing'],
  'src/config-file.test.ts': ['config_invalid', 'config_missing'],
  'test/cli/commands.test.ts': ['address_in_use'],
  'src/models/pull/pull.test.ts': ['usage', 'download_failed', 'download_corrupt'],
  'test/bench/rows.test.ts': ['bench_data_invalid'],
  'test/cascades/stages.test.ts': ['router_file_invalid'],
  'test/train/job.test.ts': ['job_invalid'],
  'test/train/command.test.ts': ['trainer_missing', 'training_failed'],
  'test/store/sqlite.test.ts': ['store_failed', 'dependency_missing'],
};
/** Thrown by recipes only where the answers at hand contradict what `ask` promises; no member can cause it. */
const uncaused: readonly ErrorCode[] = ['answer_unusable'];

test('every code of the catalogue is produced by a real cause, in the rows here or in the test that is listed', () => {
  const places = new Map<ErrorCode, string>(rows.map(([, , code]) => [code, 'here']));
  for (const [file, codes] of Object.entries(elsewhere)) {
    const path = new URL(`../../${file}`, import.meta.url);
    assert.ok(existsSync(path), `${file} does not exist`);
    const source = readFileSync(path, 'utf8');
    for (const code of codes) {
      assert.match(source, new RegExp(`\\b${code}\\b`), `${file} does not name ${code}`);
      assert.ok(!places.has(code), `${code} is listed twice`);
      places.set(code, file);
    }
  }
  const missing = (Object.keys(catalogue) as ErrorCode[]).filter((code) => !places.has(code));
  assert.deepEqual(missing, uncaused);
});

interface ErrorBody {
  readonly error: { readonly code: ErrorCode; readonly param: string | null; readonly type: string; readonly message: string; readonly remedy: string };
}

async function post(url: string, endpoint: string, body: unknown): Promise<{ status: number; body: ErrorBody }> {
  const reply = await fetch(`${url}/v1/${endpoint}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  return { status: reply.status, body: (await reply.json()) as ErrorBody };
}

function assertError(reply: { status: number; body: ErrorBody }, code: ErrorCode, about: string): void {
  assert.equal(reply.body.error?.code, code, about);
  assert.equal(reply.status, catalogue[code].status, about);
  assert.equal(reply.body.error.type, catalogue[code].type, about);
  assert.equal(reply.body.error.remedy, catalogue[code].remedy, about);
  assert.ok(reply.body.error.message.length > 0, about);
}

test('what callers do wrong is refused by code and name', async () => {
  await withGateway(fakeRuntime(), async (url) => {
    for (const [endpoint, body, code, param] of rows) {
      const about = `${endpoint} ${JSON.stringify(body).slice(0, 160)}`;
      const reply = await post(url, endpoint, body);
      assertError(reply, code, about);
      if (param !== undefined) assert.equal(reply.body.error.param, param, about);
    }
  });
});

test('a schema that cannot be enforced is named as it stands in the body, before the stream and in it', async () => {
  let param = '';
  let early = true;
  const runtime = fakeRuntime(async function* (): AsyncGenerator<Part> {
    if (!early) yield { type: 'text', answer: 0, member: 'small', delta: 'a' };
    throw new TandemError('schema_unsupported', { message: `${param} cannot be enforced.`, param });
  });
  const named = { name: 'thing', schema: { type: 'object' } };
  const parameters = { type: 'object' };
  await withGateway(runtime, async (url) => {
    for (const [endpoint, body, inner, outer] of [
      ['chat/completions', { messages: hi, response_format: { type: 'json_schema', json_schema: named } }, 'schema.properties.a.not', 'response_format.json_schema.schema.properties.a.not'],
      ['responses', { input: 'a', text: { format: { type: 'json_schema', ...named } } }, 'schema', 'text.format.schema'],
      ['chat/completions', { messages: hi, tools: [{ type: 'function', function: { name: 'f', parameters } }] }, 'tools[0].function.parameters.not', 'tools[0].function.parameters.not'],
      ['responses', { input: 'a', tools: [{ type: 'function', name: 'f', parameters }] }, 'tools[0].function.parameters.not', 'tools[0].parameters.not'],
    ] as const) {
      param = inner;
      early = true;
      for (const stream of [false, true]) {
        const { error } = (await post(url, endpoint, { ...body, stream })).body;
        assert.deepEqual([error.code, error.param, error.message], ['schema_unsupported', outer, `${outer} cannot be enforced.`]);
      }
      early = false;
      const reply = await fetch(`${url}/v1/${endpoint}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ...body, stream: true }) });
      assert.ok((await reply.text()).includes(`"param":"${outer}"`), endpoint);
    }
  });
});

test('no text of a request comes back in an error', async () => {
  await withGateway(fakeRuntime(), async (url) => {
    const secret = 'hunter2hunter2';
    for (const body of [{ messages: [{ role: secret, content: secret }] }, { messages: hi, temperature: secret }, { messages: hi, model: secret }, { messages: hi, tools: secret }, { messages: hi, stop: [{ secret }] }]) {
      const reply = await post(url, 'chat/completions', body);
      assert.ok(reply.status >= 400);
      assert.ok(!JSON.stringify(reply.body).includes(secret), JSON.stringify(reply.body));
    }
  });
});

test('hints on parts, and nested lists in what would be echoed, are taken as documented', async () => {
  const runtime = fakeRuntime();
  await withGateway(runtime, async (url) => {
    const hints = { cache_control: { type: 'ephemeral' }, prompt_cache_breakpoint: { mode: 'explicit' }, annotations: [], logprobs: [] };
    const parts = [{ type: 'text', text: 'a', ...hints }, { type: 'image_url', image_url: { url: 'https://example.org/a.png', detail: 'low' }, ...hints }];
    assert.equal((await post(url, 'chat/completions', { messages: [{ role: 'user', content: parts }] })).status, 200);
    assert.deepEqual(runtime.asked.at(-1)?.prompt.messages[0], { role: 'user', content: 'a', attachments: [{ type: 'image_url', value: { type: 'image_url', image_url: { url: 'https://example.org/a.png', detail: 'low' } } }] });
    assert.equal((await post(url, 'responses', { input: [{ role: 'assistant', content: [{ type: 'output_text', text: 'a', ...hints }] }, { role: 'user', content: [{ type: 'input_file', file_data: 'x', filename: 'f', ...hints }] }] })).status, 200);
    assert.deepEqual(JSON.parse(JSON.stringify(runtime.asked.at(-1)?.prompt.messages[1]?.attachments)), [{ type: 'file', value: { type: 'file', file: { file_data: 'x', filename: 'f' } } }]);
    const nested = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
    for (const body of [`{"input":"a","tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f","deep":${nested}}}`, `{"input":[{"role":"user","content":[{"type":"input_text","text":"a","annotations":${nested}}]}]}`]) {
      const reply = await fetch(`${url}/v1/responses`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      assert.notEqual(reply.status, 500, await reply.text());
    }
    const chosen = await fetch(`${url}/v1/responses`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ input: 'a', tools: [{ type: 'function', name: 'f' }], tool_choice: { type: 'function', name: 'f' } }) });
    assert.deepEqual(((await chosen.json()) as { tool_choice: object }).tool_choice, { type: 'function', name: 'f' });
  });
});

test('every code of the catalogue is a well-formed reply, before the stream and in it', async () => {
  let code: ErrorCode = 'internal';
  let early = true;
  const runtime = fakeRuntime(async function* (): AsyncGenerator<Part> {
    if (!early) yield { type: 'text', answer: 0, member: 'small', delta: 'a' };
    throw new TandemError(code, { message: `This is ${code}.`, retryAfterMs: 1_500 });
  });
  await withGateway(runtime, async (url) => {
    for (const each of Object.keys(catalogue) as ErrorCode[]) {
      code = each;
      early = true;
      assertError(await post(url, 'chat/completions', { messages: hi, stream: true }), code, code);
      early = false;
      for (const [endpoint, body] of [['chat/completions', { messages: hi }], ['completions', { prompt: 'a' }], ['responses', { input: 'a' }]] as const) {
        const reply = await fetch(`${url}/v1/${endpoint}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ...body, stream: true }) });
        const events = (await reply.text()).trimEnd().split('\n\n');
        const last = JSON.parse((events.at(-1) ?? '').replace(/^event: error\n/, '').replace(/^data: /, '')) as ErrorBody;
        assert.equal(last.error.code, code, `${endpoint} ${code}`);
      }
    }
  });
});

test('an unexpected failure tells nothing of its cause', async () => {
  const runtime = fakeRuntime(async function* () { yield* [] as Part[]; throw new RangeError('secret detail'); });
  await withGateway(runtime, async (url) => {
    const reply = await post(url, 'chat/completions', { messages: hi });
    assertError(reply, 'internal', 'internal');
    assert.ok(!JSON.stringify(reply.body).includes('secret'));
  });
});

test('null means absent for every parameter that is not required', async () => {
  await withGateway(fakeRuntime(), async (url) => {
    for (const [endpoint, table, body] of [['chat/completions', chatTable, { messages: hi }], ['completions', completionsTable, { prompt: 'a' }], ['responses', responsesTable, { input: 'a' }], ['embeddings', embeddingsTable, { input: 'a' }]] as const) {
      const nulls = Object.fromEntries(Object.keys(table).map((name) => [name, null]));
      const reply = await post(url, endpoint, { ...nulls, ...body });
      assert.equal(reply.status, 200, `${endpoint}: ${JSON.stringify(reply.body)}`);
    }
  });
});
