/** The whole way of a request with private values: a cloud server never sees them, the caller gets them back, the trace counts them. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type TestContext } from 'node:test';
import type { Received } from '../../src/exchange.ts';
import { createTandem, type Runtime } from '../../src/tandem.ts';

/** A server for the length of a test; gives its URL. */
async function serverFor(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => void server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

/** A runtime over a server, for the length of a test. */
async function tandemFor(t: TestContext, baseUrl: string, place: 'cloud' | 'edge'): Promise<Runtime> {
  const tandem = await createTandem({ members: { large: { engine: 'openai', baseUrl, model: 'echo', place, roles: ['large'] } }, store: { path: ':memory:' } }, { env: {} });
  t.after(() => tandem.close());
  return tandem;
}

/** Answers each chat with the last message, streamed in pieces of three characters. */
async function echoServer(t: TestContext): Promise<{ readonly url: string; readonly bodies: string[] }> {
  const bodies: string[] = [];
  const url = await serverFor(t, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const body = Buffer.concat(chunks).toString();
      bodies.push(body);
      const { messages, stream } = JSON.parse(body) as { readonly messages: readonly { readonly content: string }[]; readonly stream?: boolean };
      const text = `You said: ${messages.at(-1)?.content ?? ''}`;
      const base = { id: 'x', created: 1, model: 'echo' };
      if (stream !== true) {
        response.setHeader('content-type', 'application/json').end(JSON.stringify({ ...base, object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }], usage: { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 } }));
        return;
      }
      response.setHeader('content-type', 'text/event-stream');
      const send = (choice: object, more: object = {}): void => void response.write(`data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices: [{ index: 0, ...choice }], ...more })}\n\n`);
      for (let at = 0; at < text.length; at += 3) send({ delta: { content: text.slice(at, at + 3) } });
      send({ delta: {}, finish_reason: 'stop' }, { usage: { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 } });
      response.end('data: [DONE]\n\n');
    });
  });
  return { url, bodies };
}

const ask = (content: string, privacyClass?: 'open'): Received => ({
  surface: 'chat', model: 'large', prompt: { messages: [{ role: 'user', content }] }, sampling: { tokensMax: 50 }, answers: 1, policy: privacyClass === undefined ? {} : { privacyClass }, knobs: {}, explain: false, key: undefined,
});

for (const place of ['cloud', 'edge'] as const) {
  test(`a ${place} member ${place === 'cloud' ? 'sees placeholders only' : 'sees the text itself'}; the caller sees the text itself`, async (t) => {
    const server = await echoServer(t);
    const tandem = await tandemFor(t, server.url, place);
    const { trace, parts } = await tandem.handle(ask('I am ann@x.de,\u0000 card 4111 1111 1111 1111.'), new AbortController().signal);
    let text = '';
    for await (const part of parts) if (part.type === 'text') text += part.delta;
    assert.equal(text, 'You said: I am ann@x.de, card 4111 1111 1111 1111.');
    assert.equal(server.bodies.length, 1);
    if (place === 'cloud') {
      assert.match(server.bodies[0] ?? '', /I am <EMAIL_1>, card <CARD_1>\./);
      assert.doesNotMatch(server.bodies[0] ?? '', /ann@x|4111/);
    } else {
      assert.match(server.bodies[0] ?? '', /I am ann@x\.de, card 4111/);
    }
    const record = await tandem.store.getTrace(trace.id);
    assert.deepEqual(record?.hidden, { email: 1, card: 1 });
    assert.equal(record?.outcome, 'ok');
    assert.equal(record?.usage.priceKnown, place === 'cloud' ? false : undefined);
    assert.doesNotMatch(JSON.stringify(record), /ann@x|4111/, 'no text in the trace');
  });
}

test('stop texts and the texts of a schema reach a cloud server masked', async (t) => {
  const server = await echoServer(t);
  const tandem = await tandemFor(t, server.url, 'cloud');
  const schema = { type: 'object', properties: { to: { enum: ['ann@x.de', 'bob@x.de'] } } };
  const received: Received = { ...ask('Write to ann@x.de.'), sampling: { tokensMax: 50, stop: ['bob@x.de'], format: { type: 'json-schema', name: 'letter', schema, strict: true } } };
  const { parts } = await tandem.handle(received, new AbortController().signal);
  for await (const _ of parts);
  const { stop, response_format } = JSON.parse(server.bodies[0] ?? '{}') as { stop: string[]; response_format: { json_schema: { schema: typeof schema } } };
  const [first, second] = response_format.json_schema.schema.properties.to.enum;
  assert.deepEqual([first, second, stop[0]], ['<EMAIL_1>', '<EMAIL_2>', '<EMAIL_2>']);
  assert.doesNotMatch(server.bodies[0] ?? '', /@x\.de/);
});

test('a refusal of a cloud server gets its values back and stays a refusal', async (t) => {
  const bodies: string[] = [];
  const url = await serverFor(t, (request, response) => {
    request.on('data', (chunk: Buffer) => bodies.push(chunk.toString())).on('end', () => {
      response.setHeader('content-type', 'text/event-stream');
      const send = (delta: object, finish_reason: string | null = null): void => void response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`);
      send({ content: 'Well, <EMA' });
      for (const refusal of ['I will not write to <EM', 'AIL_1>', '.\u0007']) send({ refusal });
      send({}, 'stop');
      response.end('data: [DONE]\n\n');
    });
  });
  const tandem = await tandemFor(t, url, 'cloud');
  const { parts } = await tandem.handle(ask('Write to ann@x.de.'), new AbortController().signal);
  const said = { content: '', refusal: '' };
  for await (const part of parts) if (part.type === 'text') said[part.refusal === true ? 'refusal' : 'content'] += part.delta;
  assert.deepEqual(said, { content: 'Well, <EMA', refusal: 'I will not write to ann@x.de.' });
});
