import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TandemError } from '../../errors.ts';
import { systemClock } from '../../system/clock.ts';
import { Deadlines } from '../../system/deadlines.ts';
import { retryAfterMs } from './failure.ts';
import { ConnectionFailure, type Sending } from './http/connection.ts';
import { ReplyHead } from './http/reply-head.ts';
import { Exchange, Transport } from './transport.ts';

const settings = { member: 'it', baseUrl: 'http://x', headers: {}, connectionsMax: 1, connectTimeoutMs: 7, firstTokenTimeoutMs: 60_000, betweenTokensTimeoutMs: 60_000, totalTimeoutMs: 60_000, wallMs: () => 0 };

/** An exchange on a line that the test holds in its hands. */
function line(): { exchange: Exchange; log: string[]; sending: Sending } {
  const log: string[] = [];
  const sending: Sending = { abort: () => void log.push('abort'), pause: () => void log.push('pause'), resume: () => void log.push('resume') };
  return { exchange: new Exchange(settings, new Deadlines(systemClock), { signal: new AbortController().signal, leftMs: 60_000, streamed: true }, 0, () => void log.push('left')), log, sending };
}

test('a connection that is never made is a time-out of its own', async () => {
  const { exchange } = line();
  exchange.onFailure(new ConnectionFailure('connect-timeout', 'slow'));
  await assert.rejects(exchange.begun(), (error) => TandemError.is(error) && error.code === 'upstream_timeout' && /connectTimeoutMs/.test(error.message));
});

test('a reader that is slow pauses the line, and reading resumes it', async () => {
  const { exchange, log, sending } = line();
  exchange.onSent(sending);
  exchange.onHead(new ReplyHead('HTTP/1.1 200 OK'));
  for (let i = 0; i < 5; i++) exchange.onData(Buffer.alloc(65_536));
  assert.deepEqual(log, ['pause']);
  assert.equal((await exchange.read())?.length, 5);
  assert.deepEqual(log, ['pause', 'resume']);
  exchange.cancel();
  assert.deepEqual(log, ['pause', 'resume', 'abort']);
});

test('what came before the line broke is read before the failure', async () => {
  const { exchange, sending } = line();
  exchange.onSent(sending);
  exchange.onHead(new ReplyHead('HTTP/1.1 200 OK'));
  exchange.onData(Buffer.from('abc'));
  exchange.onFailure(new ConnectionFailure('lost', 'reset'));
  assert.equal(String((await exchange.read())?.[0]), 'abc');
  await assert.rejects(exchange.read(), (error) => TandemError.is(error) && error.code === 'upstream_truncated');
});

test('the type of a reply is known whatever its case', () => {
  const { exchange } = line();
  exchange.onHead(new ReplyHead('HTTP/1.1 200 OK\r\nContent-Type: Application/JSON'));
  assert.ok(exchange.isType('application/json'));
  exchange.cancel();
});

test('a header that HTTP cannot carry, or that would change where a message ends, is refused', () => {
  const refused = { 'transfer-encoding': 'chunked', 'Content-Length': '1', 'x a': 'b', 'x-a': 'b\r\nx-b: c' };
  for (const [name, value] of Object.entries(refused)) {
    assert.throws(() => new Transport({ ...settings, headers: { [name]: value } }), (error) => TandemError.is(error) && error.code === 'config_invalid' && error.message.includes(`members.it.headers.${name}`));
  }
});

test('a released reply drains quietly, and cancelling it does nothing', () => {
  const { exchange, log, sending } = line();
  exchange.onSent(sending);
  exchange.onHead(new ReplyHead('HTTP/1.1 200 OK'));
  exchange.release();
  exchange.onData(Buffer.alloc(10));
  exchange.cancel();
  assert.deepEqual(log, []);
  exchange.onEnd();
});

test('an exchange that stops before its request was written says so, once', () => {
  const { exchange, log } = line();
  exchange.cancel();
  exchange.cancel();
  assert.deepEqual(log, ['left']);
});

test('Retry-After in all its forms', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  const headers = (all: Readonly<Record<string, string>>) => (name: string) => all[name];
  assert.equal(retryAfterMs(headers({ 'retry-after': '2' }), now), 2_000);
  assert.equal(retryAfterMs(headers({ 'retry-after': '0.5' }), now), 500);
  assert.equal(retryAfterMs(headers({ 'retry-after-ms': '120', 'retry-after': '2' }), now), 120);
  assert.equal(retryAfterMs(headers({ 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' }), now), 30_000);
  assert.equal(retryAfterMs(headers({ 'retry-after': 'Thu, 01 Jan 2020 00:00:30 GMT' }), now), 0);
  for (const value of ['soon', '-1', '']) assert.equal(retryAfterMs(headers({ 'retry-after': value }), now), undefined);
  assert.equal(retryAfterMs(headers({}), now), undefined);
});
