/** The OpenTelemetry export: what a collector receives, and what happens when there is none. */
import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'node:test';
import type { Clock } from '../system/clock.ts';
import { createExporter } from './exporter.ts';
import { Trace, type TraceRecord } from './trace.ts';
import { formatTraceparent, parseTraceparent } from './traceparent.ts';

interface OtlpValue {
  readonly stringValue?: string;
  readonly intValue?: number | string;
  readonly doubleValue?: number;
  readonly boolValue?: boolean;
}
interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status: { readonly code: number; readonly message?: string };
  readonly attributes: readonly { readonly key: string; readonly value: OtlpValue }[];
  readonly events: readonly { readonly name: string; readonly attributes: readonly { readonly key: string; readonly value: OtlpValue }[] }[];
}
interface OtlpBody {
  readonly resourceSpans: readonly { readonly resource: { readonly attributes: readonly { readonly key: string; readonly value: OtlpValue }[] }; readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[] }[];
}

async function collector(status = 200): Promise<{ readonly server: Server; readonly url: string; readonly received: { readonly path: string | undefined; readonly headers: IncomingHttpHeaders; readonly body: OtlpBody }[] }> {
  const received: { readonly path: string | undefined; readonly headers: IncomingHttpHeaders; readonly body: OtlpBody }[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      received.push({ path: request.url, headers: request.headers, body: JSON.parse(Buffer.concat(chunks).toString()) as OtlpBody });
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`, received };
}

let ms = 0;
const clock: Clock = { wallMs: () => 1_767_225_600_123, monotonicMs: () => ms, sleep: () => Promise.resolve() };

function traceWith(change: (trace: Trace) => void = () => undefined, id = '0af7651916cd43dd8448eb211c80319c'): TraceRecord {
  const trace = new Trace(id, clock, { surface: 'chat', requestedModel: 'tandem/cascade' });
  trace.runs('cascade');
  trace.calledBy('alice');
  trace.share('large', 7);
  trace.hides({ email: 2 });
  trace.root.child('admit', 'stage').set({ model: 'tandem/cascade', tokensMax: 64, stream: true, seed: 5, topK: 40, answers: 2, outputType: 'json' });
  const recipe = trace.root.child('cascade', 'recipe');
  const call = recipe.child('call large', 'call', { member: 'large', place: 'cloud', model: 'gpt-4.1-mini' });
  call.set({ engine: 'openai', retriesLeft: 1 });
  ms += 2;
  call.firstPart();
  call.use({ promptTokens: 11, cachedPromptTokens: 3, completionTokens: 7, reasoningTokens: 4, costUsd: 0.25, energyJ: 1.5, energySource: 'estimated', bytesUp: 100, bytesDown: 200 });
  recipe.decide('cascade.accept', 'large', 'unsure', { mean: 0.5 });
  call.end('upstream_failed');
  change(trace);
  return trace.finish('ok');
}

const valueOf = (value: OtlpValue | undefined): unknown => value?.stringValue ?? value?.boolValue ?? value?.doubleValue ?? (value?.intValue === undefined ? undefined : Number(value.intValue));
const attributesOf = ({ attributes }: { readonly attributes: readonly { readonly key: string; readonly value: OtlpValue }[] }): Record<string, unknown> => Object.fromEntries(attributes.map(({ key, value }) => [key, valueOf(value)]));
const spansOf = (bodies: readonly { readonly body: OtlpBody }[]): OtlpSpan[] => bodies.flatMap(({ body }) => body.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)));

test('a collector receives the tree with the names of the GenAI conventions', async () => {
  const { server, url, received } = await collector();
  const exporter = createExporter({ otlpUrl: url, serviceName: 'my-tandem' }, { env: {}, gatherMs: 1 });
  exporter?.send(traceWith());
  await exporter?.close();
  server.close();
  assert.equal(received[0]?.headers['content-type'], 'application/json');
  assert.equal(attributesOf(received[0]?.body.resourceSpans[0]?.resource ?? { attributes: [] })['service.name'], 'my-tandem');
  const [root, admit, recipe, call] = spansOf(received);
  assert.ok(root !== undefined && admit !== undefined && recipe !== undefined && call !== undefined);
  assert.deepEqual([root.name, recipe.name, call.name], ['chat tandem/cascade', 'cascade', 'chat gpt-4.1-mini']);
  assert.deepEqual([root.kind, recipe.kind, call.kind], [2, 1, 3], 'server, internal, client on the wire');
  for (const span of [root, recipe, call]) {
    assert.equal(span.traceId, '0af7651916cd43dd8448eb211c80319c');
    assert.match(span.spanId, /^(?!0{16})[0-9a-f]{16}$/);
  }
  assert.deepEqual([root.parentSpanId ?? '', recipe.parentSpanId, call.parentSpanId], ['', root.spanId, recipe.spanId]);
  assert.equal(BigInt(call.endTimeUnixNano) - BigInt(call.startTimeUnixNano), 2_000_000n);
  assert.equal(BigInt(root.startTimeUnixNano) / 1_000_000n, 1_767_225_600_123n);
  assert.deepEqual(call.status, { code: 2, message: 'upstream_failed' });
  const of = attributesOf(call);
  assert.deepEqual(
    ['gen_ai.operation.name', 'gen_ai.provider.name', 'gen_ai.request.model', 'gen_ai.usage.input_tokens', 'gen_ai.usage.output_tokens', 'gen_ai.usage.cache_read.input_tokens', 'error.type', 'tandem.member', 'tandem.cost_usd', 'tandem.retries_left'].map((name) => of[name]),
    ['chat', 'openai', 'gpt-4.1-mini', 11, 7, 3, 'upstream_failed', 'large', 0.25, 1],
  );
  const request = attributesOf(root);
  assert.deepEqual(['tandem.recipe', 'tandem.caller', 'tandem.share.large', 'tandem.hidden.email', 'gen_ai.request.model'].map((name) => request[name]), ['cascade', 'alice', 7, 2, 'tandem/cascade']);
  assert.deepEqual(
    ['max_tokens', 'stream', 'seed', 'top_k', 'choice.count'].map((name) => request[`gen_ai.request.${name}`]).concat(request['gen_ai.output.type'], request['gen_ai.usage.reasoning.output_tokens']),
    [64, true, 5, 40, 2, 'json', 4],
  );
  assert.deepEqual([of['gen_ai.usage.reasoning.output_tokens'], of['gen_ai.response.time_to_first_chunk']], [4, 0.002]);
  assert.deepEqual(attributesOf(admit), { 'tandem.model': 'tandem/cascade' }, 'nothing stands twice');
  assert.equal(recipe.events[0]?.name, 'decision cascade.accept');
  assert.deepEqual(attributesOf(recipe.events[0] ?? { attributes: [] }), { 'tandem.decision.chosen': 'large', 'tandem.decision.because': 'unsure', 'tandem.mean': 0.5 });
});

test('a request that joins a caller\'s trace is filed there; one that the caller does not record is not sent', async () => {
  const { server, url, received } = await collector();
  const exporter = createExporter({ serviceName: 'tandem' }, { env: { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url }, gatherMs: 1 });
  const parent = parseTraceparent('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01');
  assert.ok(parent !== undefined);
  exporter?.send(traceWith((trace) => trace.joins(parent)));
  exporter?.send(traceWith((trace) => trace.joins(parent), 'b'.repeat(32)));
  exporter?.send(traceWith((trace) => trace.joins({ ...parent, sampled: false })));
  await exporter?.close();
  server.close();
  const spans = spansOf(received);
  assert.equal(spans.length, 8);
  assert.equal(new Set(spans.map(({ spanId }) => spanId)).size, 8, 'two requests in one trace have spans of their own');
  for (const span of spans) assert.equal(span.traceId, parent.traceId);
  assert.deepEqual(spans.filter(({ kind }) => kind === 2).map(({ parentSpanId }) => parentSpanId), [parent.spanId, parent.spanId]);
});

test('the general endpoint is a base to which the path of traces is added; the endpoint of traces goes before it, and empty is not set', async () => {
  const general = await collector();
  const base = general.url.replace('/v1/traces', '');
  const own = await collector();
  for (const env of [{ OTEL_EXPORTER_OTLP_ENDPOINT: base }, { OTEL_EXPORTER_OTLP_ENDPOINT: `${base}/`, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: '' }, { OTEL_EXPORTER_OTLP_ENDPOINT: `${base}/tenant` }, { OTEL_EXPORTER_OTLP_ENDPOINT: base, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: own.url }]) {
    const exporter = createExporter({ serviceName: 'tandem' }, { env, gatherMs: 1 });
    exporter?.send(traceWith());
    await exporter?.close();
  }
  general.server.close();
  own.server.close();
  assert.deepEqual([general, own].map(({ received }) => received.map(({ path }) => path)), [['/v1/traces', '/v1/traces', '/tenant/v1/traces'], ['/v1/traces']]);
  assert.equal(createExporter({ serviceName: 'tandem' }, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: '' } }), undefined);
});

test('nothing is set, nothing is sent', () => assert.equal(createExporter({ serviceName: 'tandem' }, { env: {} }), undefined));

test('a collector that refuses or is absent loses traces, counted, and harms nothing', async (t) => {
  t.mock.method(process, 'emitWarning', () => undefined);
  const { server, url } = await collector(400);
  const refused = createExporter({ otlpUrl: url, serviceName: 'tandem' }, { env: {}, gatherMs: 1 });
  refused?.send(traceWith());
  await refused?.close();
  server.close();
  assert.equal(refused?.lostTraces, 1);
  const absent = createExporter({ otlpUrl: 'http://127.0.0.1:1/v1/traces', serviceName: 'tandem' }, { env: {}, gatherMs: 1, timeoutMs: 100, queuedTracesMax: 3 });
  for (let n = 0; n < 5; n++) absent?.send(traceWith());
  assert.equal(absent?.lostTraces, 2);
  await absent?.close();
  await absent?.close();
  assert.equal(absent?.lostTraces, 5);
  absent?.send(traceWith());
  assert.equal(absent?.lostTraces, 6);
});

test('traceparent is read as W3C Trace Context says', () => {
  const good = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  assert.deepEqual(parseTraceparent(good), { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', sampled: true });
  assert.equal(formatTraceparent(parseTraceparent(good) ?? { traceId: '', spanId: '', sampled: false }), good);
  assert.equal(parseTraceparent(good.replace(/01$/, '00'))?.sampled, false);
  assert.equal(parseTraceparent(`cc${good.slice(2)}-what-comes-later`)?.sampled, true);
  for (const bad of [undefined, '', 'x', good.toUpperCase(), good.slice(0, -1), `${good}-more`, `ff${good.slice(2)}`, good.replace('4bf92f3577b34da6a3ce929d0e0e4736', '0'.repeat(32)), good.replace('00f067aa0ba902b7', '0'.repeat(16))]) {
    assert.equal(parseTraceparent(bad), undefined, bad);
  }
});
