/** HTTP itself: limits, paths, methods, cross-origin, keep-alive, slow readers, and stopping. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import test from 'node:test';
import type { Part } from '../../src/exchange.ts';
import { fakeRuntime, text, withGateway } from './fake-runtime.ts';

const json = { 'content-type': 'application/json' };
const chat = (url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: { ...json, ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body) });
const hi = { messages: [{ role: 'user', content: 'hi' }] };
const code = async (response: Response): Promise<string> => ((await response.json()) as { error: { code: string } }).error.code;

/** What the events of the three surfaces have in common with each other, as far as their text goes. */
interface StreamEvent {
  readonly type?: string;
  readonly delta?: unknown;
  readonly choices?: readonly { readonly text?: string; readonly delta?: { readonly content?: string } }[];
}

async function raw(url: string, bytes: string | Buffer, keepOpen = false): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let got = '';
  socket.on('data', (chunk) => (got += chunk.toString()));
  socket.on('error', () => undefined);
  socket.write(bytes);
  if (!keepOpen) setTimeout(() => socket.end(), 200).unref();
  await once(socket, 'close');
  return got;
}

test('paths and methods', async () => {
  await withGateway(fakeRuntime(), async (url) => {
    const missing = await fetch(`${url}/v1/nothing`);
    assert.deepEqual([missing.status, await code(missing)], [404, 'route_not_found']);
    const wrong = await fetch(`${url}/v1/chat/completions`);
    assert.deepEqual([wrong.status, await code(wrong), wrong.headers.get('allow')], [405, 'method_not_allowed', 'POST, OPTIONS']);
    const deleted = await fetch(`${url}/healthz`, { method: 'DELETE' });
    assert.deepEqual([deleted.status, deleted.headers.get('allow')], [405, 'GET, HEAD, OPTIONS']);
    const head = await fetch(`${url}/healthz`, { method: 'HEAD' });
    assert.deepEqual([head.status, await head.text()], [200, '']);
    const options = await fetch(`${url}/v1/models`, { method: 'OPTIONS' });
    assert.deepEqual([options.status, options.headers.get('allow')], [204, 'GET, HEAD, OPTIONS']);
    const badPercent = await fetch(`${url}/v1/models/%zz`);
    assert.equal(badPercent.status, 404);
    const page = await fetch(`${url}/`);
    assert.match(await page.text(), /tandem\/cascade/);
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
  });
});

test('bodies: size (declared and chunked), type, encoding, UTF-8, JSON', async () => {
  await withGateway(fakeRuntime(undefined, { gateway: { bodyBytesMax: 2_000 } }), async (url) => {
    const long = JSON.stringify({ messages: [{ role: 'user', content: 'x'.repeat(5_000_000) }] });
    const declared = await chat(url, long);
    assert.deepEqual([declared.status, await code(declared)], [413, 'body_too_large']);
    const chunked = await new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      const outgoing = request(`${url}/v1/chat/completions`, { method: 'POST', headers: { ...json, 'transfer-encoding': 'chunked' } }, (response) => {
        let body = '';
        response.on('data', (chunk) => (body += chunk));
        response.on('end', () => resolve({ status: response.statusCode, body }));
      });
      outgoing.on('error', reject);
      for (let sent = 0; sent < 20; sent++) outgoing.write('x'.repeat(1_000));
      outgoing.end();
    });
    assert.equal(chunked.status, 413);
    assert.match(chunked.body, /body_too_large/);
    for (const [body, headers, expected] of [
      ['', {}, 'body_malformed'],
      ['{', {}, 'body_malformed'],
      ['[]', {}, 'body_malformed'],
      ['"text"', {}, 'body_malformed'],
      ['null', {}, 'body_malformed'],
      ['{}', { 'content-type': 'text/plain' }, 'media_type_unsupported'],
      ['{}', { 'content-type': 'application/json; charset=latin1' }, 'media_type_unsupported'],
      ['{}', { 'content-encoding': 'gzip' }, 'media_type_unsupported'],
    ] as const) {
      assert.equal(await code(await chat(url, body, headers)), expected, `${body} ${JSON.stringify(headers)}`);
    }
    assert.equal((await chat(url, hi, { 'content-type': 'Application/JSON; charset="UTF-8"' })).status, 200);
    const notUtf8 = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: json, body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) });
    assert.equal(await code(notUtf8), 'body_malformed');
  });
});

test('connections: oversize headers, no HTTP, too slow, half a body', async () => {
  const runtime = fakeRuntime(undefined, { gateway: { headerBytesMax: 2_048, requestTimeoutMs: 150 } });
  await withGateway(runtime, async (url) => {
    assert.match(await raw(url, `GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nbig: ${'y'.repeat(4_000)}\r\n\r\n`), /^HTTP\/1\.1 431 [\s\S]*headers_too_large/);
    assert.match(await raw(url, 'what is this\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*request_malformed/);
    assert.match(await raw(url, 'POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n', true), /^HTTP\/1\.1 408 [\s\S]*request_timeout/);
    assert.match(await raw(url, 'POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"mess', true), /^HTTP\/1\.1 408 [\s\S]*request_timeout/);
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    assert.equal(runtime.asked.length, 0);
  });
});

test('expect: 100-continue is answered, and an oversize body is refused before it is sent', async () => {
  await withGateway(fakeRuntime(undefined, { gateway: { bodyBytesMax: 2_000 } }), async (url) => {
    const body = JSON.stringify(hi);
    const head = (length: number): string => `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: ${length}\r\n\r\n`;
    assert.match(await raw(url, head(body.length) + body), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200/);
    assert.match(await raw(url, head(5_000)), /^HTTP\/1\.1 413/);
  });
});

test('an expectation that is not known, and HTTP/1.1 without a host, are refused in the catalogue\'s shape', async () => {
  await withGateway(fakeRuntime(), async (url) => {
    for (const [head, message] of [['GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: foo\r\n\r\n', /header Expect/], ['GET /healthz HTTP/1.1\r\n\r\n', /header Host/]] as const) {
      const reply = await raw(url, head);
      assert.match(reply, /^HTTP\/1\.1 400 [\s\S]*content-type: application\/json/);
      const { error } = JSON.parse(reply.slice(reply.indexOf('\r\n\r\n'))) as { error: { code: string; type: string; message: string } };
      assert.deepEqual([error.code, error.type], ['request_malformed', 'invalid_request_error']);
      assert.match(error.message, message);
    }
    assert.match(await raw(url, 'GET /healthz HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 /);
  });
});

test('without keys, only names of this machine and those of the configuration are answered', async () => {
  const asked = async (url: string, host: string, path = '/tandem/traces'): Promise<string> => (await raw(url, `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`, true)).replace(/^HTTP\/1\.1 (\d+)[\s\S]*?(?:"code":"(\w+)"[\s\S]*)?$/, '$1 $2').trim();
  await withGateway(fakeRuntime(undefined, { gateway: { hosts: ['Tandem.lan', '::2'] } }), async (url) => {
    for (const host of ['localhost', 'LOCALHOST:8484', '127.0.0.1', '127.0.0.1:1', '[::1]', '[::1]:8484', 'tandem.lan:80', '[::2]:80']) assert.equal(await asked(url, host), '200', host);
    for (const host of ['evil.example', 'evil.example:8484', 'localhost.evil.example', '127.0.0.1.evil.example', '127.0.0.2', '[::3]', '']) assert.equal(await asked(url, host), '403 host_refused', host);
    for (const path of ['/', '/healthz', '/metrics', '/v1/models', '/nothing']) assert.equal(await asked(url, 'evil.example', path), '403 host_refused', path);
  });
  await withGateway(fakeRuntime(undefined, { gateway: { hosts: ['*'] } }), async (url) => assert.equal(await asked(url, 'any.example'), '200'));
  const keys = [{ name: 'a', keyEnv: 'A' }];
  await withGateway(fakeRuntime(undefined, { gateway: { keys } }, { A: 'ka' }), async (url) => assert.equal(await asked(url, 'any.example'), '401 key_missing'));
});

test('the key is looked at before the body: a stranger is told so at once, and leaves no trace', async () => {
  const keys = [{ name: 'a', keyEnv: 'A' }];
  const runtime = fakeRuntime(undefined, { gateway: { keys } }, { A: 'ka' });
  await withGateway(runtime, async (url) => {
    for (const path of ['chat/completions', 'completions', 'responses', 'embeddings']) {
      for (const [body, headers] of [['{', {}], ['{"nonsense":1}', {}], ['x'.repeat(9_000_000), {}], ['{}', { 'content-type': 'text/plain' }]] as const) {
        const reply = await fetch(`${url}/v1/${path}`, { method: 'POST', headers: { ...json, ...headers }, body });
        assert.deepEqual([reply.status, await code(reply)], [401, 'key_missing'], path);
      }
    }
    // the headers alone are enough
    assert.match(await raw(url, 'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer wrong\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n'), /^HTTP\/1\.1 401 [\s\S]*key_invalid/);
    assert.equal(runtime.store.records.length, 0);
  });
});

test('a known caller\'s request leaves a trace even when its body is refused, and nothing of the body is in it', async () => {
  const keys = [{ name: 'a', keyEnv: 'A' }];
  const runtime = fakeRuntime(undefined, { gateway: { keys, bodyBytesMax: 2_000 } }, { A: 'ka' });
  await withGateway(runtime, async (url) => {
    const cases = [['chat/completions', '{', 'body_malformed', 'chat'], ['completions', '{"prompt":"hunter2","hunter2":1}', 'parameter_unknown', 'completions'], ['responses', '{"model":"hunter2"}', 'parameter_missing', 'responses'], ['embeddings', '{"model":"hunter2"}', 'parameter_missing', 'embeddings'], ['chat/completions', 'x'.repeat(3_000), 'body_too_large', 'chat']] as const;
    for (const [path, body, expected, surface] of cases) {
      const reply = await fetch(`${url}/v1/${path}`, { method: 'POST', headers: { ...json, authorization: 'Bearer ka' }, body });
      assert.equal(await code(reply), expected);
      const record = runtime.store.records.at(-1);
      assert.deepEqual([record?.id, record?.outcome, record?.surface, record?.caller, record?.requestedModel], [reply.headers.get('x-tandem-trace'), expected, surface, 'a', '(unknown)']);
      assert.doesNotMatch(JSON.stringify(record), /hunter2/);
    }
    assert.equal(runtime.store.records.length, cases.length);
    await fetch(`${url}/v1/embeddings`, { method: 'POST', headers: { ...json, authorization: 'Bearer ka' }, body: '{"input":"a","model":"nobody"}' });
    await chat(url, { ...hi, model: 'nobody' }, { authorization: 'Bearer ka' });
    assert.ok(runtime.store.records.length <= cases.length + 2, 'what has a trace of its own leaves no second one');
  });
});

test('browsers of allowed origins may call', async () => {
  await withGateway(fakeRuntime(undefined, { gateway: { corsOrigins: ['https://app.example'] } }), async (url) => {
    const preflight = await fetch(`${url}/v1/chat/completions`, { method: 'OPTIONS', headers: { origin: 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,x-own' } });
    assert.equal(preflight.headers.get('access-control-allow-origin'), 'https://app.example');
    assert.equal(preflight.headers.get('access-control-allow-headers'), 'authorization,x-own');
    const call = await chat(url, hi, { origin: 'https://app.example' });
    assert.equal(call.headers.get('access-control-allow-origin'), 'https://app.example');
    assert.match(call.headers.get('access-control-expose-headers') ?? '', /x-tandem-trace/);
    const other = await chat(url, hi, { origin: 'https://other.example' });
    assert.equal(other.headers.get('access-control-allow-origin'), null);
  });
});

test('too many requests in flight are told so', async () => {
  let release: (() => void) | undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const runtime = fakeRuntime(async function* () { await held; yield* text('done'); }, { gateway: { concurrentMax: 1 } });
  await withGateway(runtime, async (url) => {
    const first = chat(url, hi);
    while (runtime.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    const second = await chat(url, hi);
    assert.deepEqual([second.status, await code(second), second.headers.get('retry-after')], [503, 'overloaded', '1']);
    assert.equal((await fetch(`${url}/healthz`)).status, 200, 'looking is not work');
    release?.();
    assert.equal((await first).status, 200);
    assert.equal((await chat(url, hi)).status, 200);
  });
});

test('a reader that is too slow holds the answer back instead of filling memory', async () => {
  let made = 0;
  const total = 4_000;
  const runtime = fakeRuntime(async function* () {
    for (; made < total; made++) {
      yield { type: 'text', answer: 0, member: 'small', delta: 'x'.repeat(10_000) };
      if (made % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    yield { type: 'finish', answer: 0, member: 'small', reason: 'stop' };
  });
  await withGateway(runtime, async (url) => {
    const socket: Socket = connect(Number(new URL(url).port), '127.0.0.1');
    const body = JSON.stringify({ ...hi, stream: true });
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    socket.pause();
    let before = -1;
    while (made === 0 || made !== before) {
      before = made;
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    assert.ok(made < total, `the model was held back (made ${made} of ${total})`);
    socket.destroy();
    while (runtime.store.records.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.equal(runtime.store.records[0]?.outcome, 'cancelled');
  });
});

test('streams keep every character, in whatever turn of the event loop it leaves', async () => {
  const pieces = ['plain, ', 'é and ÿ, ', '東京 ', '😀', ' plain again, ', '東京 😀 é', ', the end'];
  // Each piece leaves in a write of its own, or all of them with the end of the reply.
  for (const apart of [true, false]) {
    const runtime = fakeRuntime(async function* () {
      for (const part of text(...pieces)) {
        yield part;
        if (apart) await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      }
    });
    await withGateway(runtime, async (url) => {
      for (const [path, ask, deltaOf] of [
        ['chat/completions', hi, (event) => event.choices?.[0]?.delta?.content],
        ['completions', { prompt: 'hi' }, (event) => event.choices?.[0]?.text],
        ['responses', { input: 'hi' }, (event) => (event.type === 'response.output_text.delta' ? event.delta : undefined)],
      ] as readonly [string, object, (event: StreamEvent) => unknown][]) {
        const reply = await fetch(`${url}/v1/${path}`, { method: 'POST', headers: json, body: JSON.stringify({ ...ask, stream: true }) });
        const bytes = Buffer.from(await reply.arrayBuffer());
        const events = bytes.toString().split('\n').filter((line) => line.startsWith('data: {')).map((line) => JSON.parse(line.slice(6)) as StreamEvent);
        assert.equal(events.map((event) => deltaOf(event) ?? '').join(''), pieces.join(''), `${path}, ${apart ? 'piece by piece' : 'at once'}`);
      }
    });
  }
});

test('stopping finishes streams that end in time, and takes no new work', async () => {
  let release: (() => void) | undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const runtime = fakeRuntime(async function* () { yield* text('a').slice(0, 1); await held; yield* text('b'); }, { gateway: { shutdownTimeoutMs: 10_000 } });
  await withGateway(runtime, async (url, gateway) => {
    const reply = await chat(url, { ...hi, stream: true });
    const closing = gateway.close();
    await assert.rejects(chat(url, hi), 'no new connection is taken');
    release?.();
    const body = await reply.text();
    assert.ok(body.endsWith('data: [DONE]\n\n'));
    await closing;
  });
});

test('stopping lets finished replies leave, however slowly they are read, for shutdownTimeoutMs', async () => {
  const size = 30_000_000;
  const ask = async (shutdownTimeoutMs: number, readOn: boolean): Promise<{ bytes: number; tookMs: number }> => {
    const runtime = fakeRuntime(() => text('x'.repeat(size)), { gateway: { shutdownTimeoutMs, concurrentMax: 1 } });
    return withGateway(runtime, async (url, gateway) => {
      const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined);
      const body = JSON.stringify(hi);
      socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      const [begin] = (await once(socket, 'data')) as [Buffer];
      let bytes = begin.length;
      socket.pause().on('data', (piece: Buffer) => (bytes += piece.length));
      while (runtime.store.records.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
      const beginMs = performance.now();
      const closing = gateway.close();
      await new Promise((resolve) => setTimeout(resolve, 100));
      await assert.rejects(chat(url, hi), 'no new connection is taken');
      if (readOn) socket.resume();
      await closing;
      const tookMs = performance.now() - beginMs;
      socket.resume();
      await once(socket, 'close');
      return { bytes, tookMs };
    });
  };
  const read = await ask(20_000, true);
  assert.ok(read.bytes > size, `${read.bytes} bytes`);
  assert.ok(read.tookMs < 10_000, `stopped after ${read.tookMs} ms`);
  const unread = await ask(300, false);
  assert.ok(unread.bytes < size && unread.tookMs >= 290, `${unread.bytes} bytes, stopped after ${unread.tookMs} ms`);
});

test('while stopping, further requests on connections that are open are refused, and the running answer is finished', async () => {
  let release: (() => void) | undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const runtime = fakeRuntime(async function* () {
    yield* text('first').slice(0, 1);
    if (runtime.asked.length === 1) await held;
    yield* text('last').slice(1);
  }, { gateway: { shutdownTimeoutMs: 10_000 } });
  await withGateway(runtime, async (url, gateway) => {
    const body = JSON.stringify({ ...hi, stream: true });
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n`;
    const open = async (first: string): Promise<{ readonly socket: Socket; readonly closed: Promise<unknown>; got: string }> => {
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      const connection = { socket, closed: once(socket, 'close'), got: '' };
      socket.on('data', (chunk) => (connection.got += chunk.toString()));
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      socket.write(first);
      return connection;
    };
    // One whose request began before the stop and is complete after it, and one that sends a second request while the first is answered.
    const late = await open(head);
    const busy = await open(`${head}\r\n${body}`);
    while (!busy.got.includes('first')) await once(busy.socket, 'data');
    const closing = gateway.close();
    late.socket.write(`\r\n${body}`);
    await late.closed;
    assert.match(late.got, /^HTTP\/1\.1 503 [\s\S]*connection: close[\s\S]*"code":"shutting_down"/i);
    const asked = once(gateway.server, 'request');
    busy.socket.write(`${head}\r\n${body}`);
    await asked;
    release?.();
    await closing;
    await busy.closed;
    assert.match(busy.got, /^HTTP\/1\.1 200 [\s\S]*first[\s\S]*data: \[DONE\]/);
    assert.equal(runtime.asked.length, 1, 'nothing new was begun');
  });
});

test('stopping aborts what takes too long, and says so in the stream', async () => {
  const runtime = fakeRuntime(async function* (_received, signal) {
    yield* text('a').slice(0, 1) as Part[];
    await new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  }, { gateway: { shutdownTimeoutMs: 50 } });
  await withGateway(runtime, async (url, gateway) => {
    const reply = await chat(url, { ...hi, stream: true });
    await gateway.close();
    assert.match(await reply.text(), /"code":"shutting_down"/);
    assert.equal(runtime.store.records[0]?.outcome, 'shutting_down');
  });
});

test('metrics count requests by recipe, member and outcome', async () => {
  await withGateway(fakeRuntime(), async (url) => {
    await (await chat(url, { ...hi, model: 'tandem/cascade' })).json();
    await (await chat(url, { ...hi, model: 'nobody' })).json();
    const metrics = await (await fetch(`${url}/metrics`)).text();
    assert.match(metrics, /tandem_requests_total\{surface="chat",recipe="cascade",outcome="ok"\} 1/);
    assert.match(metrics, /tandem_requests_total\{surface="chat",recipe="",outcome="model_not_found"\} 1/);
    assert.match(metrics, /gen_ai_client_token_usage_total\{member="small",type="output"\} 5/);
    assert.match(metrics, /tandem_requests_in_flight 0/);
    assert.ok(!/nobody/.test(metrics), 'what callers write is no label');
  });
});

test('traces and feedback', async () => {
  const keys = [{ name: 'a', keyEnv: 'A' }, { name: 'b', keyEnv: 'B' }, { name: 'root', keyEnv: 'R', admin: true }];
  await withGateway(fakeRuntime(undefined, { gateway: { keys } }, { A: 'ka', B: 'kb', R: 'kr' }), async (url) => {
    const as = (key: string): { headers: Record<string, string> } => ({ headers: { authorization: `Bearer ${key}` } });
    const trace = (await chat(url, hi, { authorization: 'Bearer ka', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' })).headers.get('x-tandem-trace');
    const list = async (key: string, query = ''): Promise<{ data: { id: string }[] }> => (await fetch(`${url}/tandem/traces${query}`, as(key))).json() as Promise<{ data: { id: string }[] }>;
    assert.deepEqual((await list('ka')).data.map(({ id }) => id), [trace]);
    assert.deepEqual((await list('kb')).data, []);
    assert.equal((await list('kr')).data.length, 1);
    assert.equal((await list('kr', '?limit=1')).data.length, 1);
    const own = (await (await fetch(`${url}/tandem/traces/${trace}`, as('ka'))).json()) as { spans: { attributes: object }[] };
    assert.equal((own.spans[0]?.attributes as { callerTraceId?: string }).callerTraceId, '0af7651916cd43dd8448eb211c80319c');
    const foreign = await fetch(`${url}/tandem/traces/${trace}`, as('kb'));
    assert.deepEqual([foreign.status, await code(foreign)], [404, 'trace_not_found']);
    for (const [query, expected] of [['?limit=0', 'parameter_invalid'], ['?limit=x', 'parameter_invalid'], ['?what=1', 'parameter_unknown']] as const) {
      assert.equal(await code(await fetch(`${url}/tandem/traces${query}`, as('kr'))), expected);
    }
    const feedback = (body: object, key: string): Promise<Response> => fetch(`${url}/tandem/feedback`, { method: 'POST', headers: { ...json, ...as(key).headers }, body: JSON.stringify(body) });
    assert.equal((await feedback({ traceId: trace, score: 1 }, 'ka')).status, 201);
    assert.equal(await code(await feedback({ traceId: trace, score: 1 }, 'kb')), 'trace_not_found');
    assert.equal(await code(await feedback({ traceId: trace, score: 2 }, 'ka')), 'parameter_invalid');
    assert.equal(await code(await feedback({ traceId: trace }, 'ka')), 'parameter_missing');
    const shown = (await (await fetch(`${url}/tandem/traces/${trace}`, as('kr'))).json()) as { feedback: { score: number; caller: string }[] };
    assert.deepEqual(shown.feedback.map(({ score, caller }) => [score, caller]), [[1, 'a']]);
    assert.equal((await fetch(`${url}/tandem/traces`)).status, 401);
    assert.deepEqual([(await fetch(`${url}/metrics`)).status, (await fetch(`${url}/metrics`, as('ka'))).status, (await fetch(`${url}/metrics`, as('kr'))).status], [401, 403, 200]);
    assert.equal((await fetch(`${url}/v1/models`, { headers: { 'x-api-key': 'ka' } })).status, 200);
  });
});
