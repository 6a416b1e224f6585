/** Clients that ask and do not read: neither a place nor a limit stays taken. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import test from 'node:test';
import type { Part } from '../../src/exchange.ts';
import { Team } from '../../src/models/team.ts';
import { createTandem } from '../../src/tandem.ts';
import type { TraceRecord } from '../../src/trace/trace.ts';
import { fake } from '../recipes/fake-model.ts';
import { systemClock } from '../../src/system/clock.ts';
import { fakeRuntime, text, withGateway } from './fake-runtime.ts';

const hi = { messages: [{ role: 'user', content: 'hi' }] };
const chat = (url: string): Promise<Response> => fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(hi) });

/** A client that sends a request and never reads. */
function stalled(url: string, more: object): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined).pause();
  const body = JSON.stringify({ ...hi, ...more });
  socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  return socket;
}

async function* endless(): AsyncGenerator<Part> {
  for (;;) {
    yield { type: 'text', answer: 0, member: 'small', delta: 'x'.repeat(100_000) };
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a client that takes nothing of its stream for writeTimeoutMs is disconnected, and its place is free', async () => {
  let asked = 0;
  const runtime = fakeRuntime(() => (asked++ === 0 ? endless() : text('hello')), { gateway: { concurrentMax: 1, writeTimeoutMs: 60 } });
  await withGateway(runtime, async (url) => {
    const ended = new Promise<TraceRecord>((resolve) => runtime.onTrace(resolve));
    const socket = stalled(url, { stream: true });
    assert.equal((await ended).outcome, 'cancelled');
    assert.equal((await chat(url)).status, 200);
    socket.destroy();
  });
});

test('a client that takes nothing of a whole reply is disconnected', async () => {
  const runtime = fakeRuntime(() => text('x'.repeat(30_000_000)), { gateway: { writeTimeoutMs: 60 } });
  await withGateway(runtime, async (url, gateway) => {
    const accepted = once(gateway.server, 'connection') as Promise<[Socket]>;
    const socket = stalled(url, {});
    const [connection] = await accepted;
    await once(connection, 'close');
    socket.destroy();
  });
});

test('a client is disconnected when it has taken nothing for writeTimeoutMs, not at twice that time', async () => {
  const writeTimeoutMs = 2_000;
  for (const stream of [true, false]) {
    const runtime = fakeRuntime(() => (stream ? endless() : text('x'.repeat(30_000_000))), { gateway: { writeTimeoutMs } });
    await withGateway(runtime, async (url, gateway) => {
      const accepted = once(gateway.server, 'connection') as Promise<[Socket]>;
      const beginMs = performance.now();
      const socket = stalled(url, { stream });
      const [connection] = await accepted;
      await once(connection, 'close');
      const tookMs = performance.now() - beginMs;
      assert.ok(tookMs > writeTimeoutMs - 100 && tookMs < 1.75 * writeTimeoutMs, `stream: ${stream}, after ${Math.round(tookMs)} ms`);
      socket.destroy();
    });
  }
});

test('a client that reads slowly, but reads, is served to the end', async () => {
  const runtime = fakeRuntime(() => text(...Array.from({ length: 100 }, () => 'x'.repeat(200_000))), { gateway: { writeTimeoutMs: 1_000 } });
  await withGateway(runtime, async (url) => {
    const socket = stalled(url, { stream: true });
    let [bytes, tail] = [0, ''];
    socket.on('data', (piece: Buffer) => {
      bytes += piece.length;
      tail = (tail + piece.toString('latin1')).slice(-40);
      socket.pause();
      setTimeout(() => socket.resume(), 1);
    });
    socket.resume();
    while (!tail.includes('[DONE]') && !socket.closed) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(bytes > 20_000_000);
    socket.destroy();
    assert.equal(runtime.store.records[0]?.outcome, 'ok');
  });
});

test('the time of the request ends a stream that nobody reads, whatever writeTimeoutMs says', async () => {
  const words = Array.from({ length: 400 }, () => 'x'.repeat(100_000)).join(' ');
  const team = new Team([fake({ id: 'small', answer: { text: words } }, systemClock)]);
  const runtime = await createTandem({ store: { path: ':memory:' }, gateway: { port: 0, concurrentMax: 1, shutdownTimeoutMs: 50 }, defaultModel: 'small', guard: { answerCharactersMax: 1e9 } }, { team, env: {} });
  await withGateway(runtime, async (url) => {
    const ended = new Promise<TraceRecord>((resolve) => runtime.onTrace(resolve));
    const socket = stalled(url, { stream: true, tandem: { limits: { totalMs: 400 } } });
    assert.equal((await ended).outcome, 'deadline_exceeded');
    socket.destroy();
  });
  await runtime.close();
});
