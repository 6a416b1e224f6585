/** `tandem serve` with several threads: one port, one set of limits, one set of metrics, one store. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type TestContext } from 'node:test';
import { Client } from 'undici';
import { parseConfig, type ConfigInput } from '../../src/config.ts';
import { servingThreads } from '../../src/cli/serve/serving.ts';
import { accountBytes, accountMemories } from '../../src/policy/account-memory.ts';
import { ended, folder, start } from './tandem.ts';

const skip = process.platform === 'linux' ? false : 'several threads on one port need Linux';
const answer = JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model: 'm', choices: [{ index: 0, message: { role: 'assistant', content: 'fine' }, finish_reason: 'stop' }], usage: { prompt_tokens: 5, completion_tokens: 1, total_tokens: 6 } });

/** A model server that answers after a while. */
async function upstream(t: TestContext, waitMs = 0): Promise<number> {
  const server: Server = createServer((request, response) => {
    request.resume().on('end', () => setTimeout(() => response.writeHead(200, { 'content-type': 'application/json' }).end(answer), waitMs));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

interface Served {
  readonly origin: string;
  readonly threads: number;
  readonly child: ReturnType<typeof start>;
  readonly cwd: string;
}

async function serve(t: TestContext, port: number, input: ConfigInput): Promise<Served> {
  const config: ConfigInput = { members: { large: { engine: 'openai', roles: ['large'], baseUrl: `http://127.0.0.1:${port}/v1`, model: 'm' } }, defaultModel: 'tandem/large', ...input };
  const cwd = folder(t, { 'tandem.config.json': JSON.stringify(config) });
  const child = start(['serve', '--port', '0', '--json'], { cwd });
  t.after(() => child.kill('SIGKILL'));
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const line = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more).includes('\n') && resolve(text));
    child.once('exit', (code) => reject(new Error(`ended with ${code}: ${errors}`)));
  });
  const { url, threads } = JSON.parse(line) as { url: string; threads: number };
  return { origin: new URL(url).origin, threads, child, cwd };
}

const key = 'k-threads';
const keys = (limits: object): NonNullable<ConfigInput['gateway']>['keys'] => [{ name: 'a', sha256: createHash('sha256').update(key).digest('hex'), admin: true, ...limits }];
const body = JSON.stringify({ messages: [{ role: 'user', content: 'hello' }] });

/** Sends requests over connections of their own, so that every thread gets some; gives the replies. */
async function send(t: TestContext, origin: string, connections: number, each: number): Promise<{ readonly status: number; readonly trace: string }[]> {
  const clients = Array.from({ length: connections }, () => new Client(origin));
  t.after(() => Promise.all(clients.map((client) => client.destroy())));
  const replies = await Promise.all(
    clients.map(async (client) => {
      const got: { status: number; trace: string }[] = [];
      for (let n = 0; n < each; n++) {
        const reply = await client.request({ path: '/v1/chat/completions', method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` }, body });
        await reply.body.dump();
        got.push({ status: reply.statusCode, trace: String(reply.headers['x-tandem-trace'] ?? '') });
      }
      return got;
    }),
  );
  return replies.flat();
}

async function get(origin: string, path: string): Promise<{ readonly status: number; readonly text: string }> {
  const client = new Client(origin);
  const reply = await client.request({ path, method: 'GET', headers: { authorization: `Bearer ${key}` } });
  const text = await reply.body.text();
  await client.close();
  return { status: reply.statusCode, text };
}

test('threads keep one limit of a key exactly, count together, and show each other\'s traces', { skip }, async (t) => {
  const { origin, threads } = await serve(t, await upstream(t), { gateway: { threads: 3, keys: keys({ requestsPerMinute: 150 }) } });
  assert.equal(threads, 3);
  const replies = await send(t, origin, 24, 10);
  assert.equal(replies.filter(({ status }) => status === 200).length, 150);
  assert.equal(replies.filter(({ status }) => status === 429).length, 90);
  // a new connection can lie on any thread; the trace was written by the thread that answered
  const answered = replies.filter(({ status }) => status === 200).slice(-12);
  const shown = await Promise.all(answered.map(({ trace }) => get(origin, `/tandem/traces/${trace}`)));
  assert.deepEqual(shown.map(({ status }) => status), answered.map(() => 200));
  const looks = await Promise.all(Array.from({ length: 6 }, () => get(origin, '/metrics')));
  for (const { text } of looks) {
    assert.match(text, /tandem_requests_total\{surface="chat",recipe="large",outcome="ok"\} 150\n/);
    assert.match(text, /tandem_requests_total\{surface="chat",recipe="[^"]*",outcome="rate_limited"\} 90\n/);
    assert.match(text, /gen_ai_client_operation_duration_seconds_count\{member="large",place="cloud",outcome="ok"\} 150\n/);
  }
});

test('threads keep one limit of requests in flight, and finish their answers when they are stopped', { skip }, async (t) => {
  const { origin, child } = await serve(t, await upstream(t, 700), { gateway: { threads: 2, concurrentMax: 8, keys: keys({}) } });
  const sent = send(t, origin, 20, 1);
  await new Promise((resolve) => setTimeout(resolve, 400));
  const { text } = await get(origin, '/metrics');
  assert.match(text, /\ntandem_requests_in_flight 8\n/);
  child.kill('SIGTERM');
  const statuses = (await sent).map(({ status }) => status).toSorted();
  assert.deepEqual(statuses, [...Array<number>(8).fill(200), ...Array<number>(12).fill(503)]);
  assert.equal(await new Promise((resolve) => child.once('close', resolve)), 0);
});

test('a second signal does not wait for running answers', { skip }, async (t) => {
  const slow = await upstream(t, 20_000);
  for (const threads of [1, 2]) {
    const { origin, child } = await serve(t, slow, { gateway: { threads, keys: keys({}) } });
    const sent = send(t, origin, 4, 1).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 700)); // sooner it would count as the same one
    const secondMs = performance.now();
    child.kill('SIGTERM');
    assert.equal(await ended, 0);
    assert.ok(performance.now() - secondMs < 10_000, 'the answers would have taken 20 seconds');
    await sent;
  }
});

test('a port that threads share is still refused to a second gateway', { skip }, async (t) => {
  const port = await upstream(t);
  const { origin, cwd } = await serve(t, port, { gateway: { threads: 2 } });
  const second = await ended(start(['serve', '--port', new URL(origin).port], { cwd }));
  assert.equal(second.code, 1);
  assert.match(second.stderr, /Another process listens on/);
});

test('how many threads: what the configuration says, and what stands against it', () => {
  const remote = (gateway: ConfigInput['gateway'], more: ConfigInput = {}): ConfigInput => ({ members: { large: { engine: 'openai', roles: ['large'], baseUrl: 'http://127.0.0.1:1/v1', model: 'm' } }, gateway, ...more });
  const threads = (input: ConfigInput, cores: number, env = {}, platform: NodeJS.Platform = 'linux'): unknown => servingThreads(parseConfig(input), cores, env, platform);
  assert.equal(threads(remote({}), 64), 1);
  assert.equal(threads(remote({ threads: 'auto' }), 2), 2);
  assert.equal(threads(remote({ threads: 'auto' }), 64), 4);
  assert.equal(threads(remote({ threads: 1 }), 64), 1);
  assert.equal(threads(remote({ threads: 12 }), 2), 12);
  assert.equal(threads({ gateway: { threads: 'auto' } }, 8), 1, 'the bundled pair runs in the process');
  assert.deepEqual(threads({ gateway: { threads: 2 } }, 8), { refused: 'expected 1, got 2: the member "small" runs in this process, and every thread would load it again' });
  assert.equal(threads(remote({ threads: 'auto' }, { store: { path: ':memory:' } }), 8), 1);
  assert.equal(threads(remote({ threads: 'auto' }, { store: { path: ':memory:' } }), 8, { DATABASE_URL: 'postgres://x' }), 4);
  assert.equal(threads(remote({ threads: 'auto' }), 8, {}, 'darwin'), 1);
});

test('accounts in one memory: what one view adds, the other sees', () => {
  const settings = parseConfig({ gateway: { keys: [{ name: 'a', keyEnv: 'A', requestsPerMinute: 5 }, { name: 'b', keyEnv: 'B', tokensPerMinute: 9 }, { name: 'c', keyEnv: 'C' }] } }).gateway.keys;
  const memory = new SharedArrayBuffer(accountBytes(settings));
  const [one, two] = [accountMemories(settings, memory), accountMemories(settings, memory)];
  one.forEach((account, index) => account.locked(() => {
    account.spentUsd += index + 0.5;
    account.runningTokens += index;
    account.day = 20_000 + index;
    account.requests?.add(3, 1_000);
    account.tokens?.add(4, 1_000);
  }));
  two.forEach((account, index) => account.locked(() => assert.deepEqual([account.spentUsd, account.runningTokens, account.day], [index + 0.5, index, 20_000 + index])));
  assert.deepEqual(two.map(({ requests, tokens }) => [requests?.sum(2_000), tokens?.sum(2_000)]), [[3, undefined], [undefined, 4], [undefined, undefined]]);
});
