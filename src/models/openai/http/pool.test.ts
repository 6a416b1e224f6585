import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createServer as createTlsServer, getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ConnectionFailure, RequestBytes, Sender, Sending } from './connection.ts';
import { ConnectionPool } from './pool.ts';

const closers: (() => void)[] = [];
after(() => closers.forEach((close) => close()));

/** A server that hands every connection, by number, and every piece of text that comes over it to the test. */
async function server(onText: (socket: Socket, text: string, connection: number) => void, made: Server = createServer()): Promise<{ port: number; connections: Socket[] }> {
  const connections: Socket[] = [];
  made.on('setSecureContext' in made ? 'secureConnection' : 'connection', (socket: Socket) => {
    const number = connections.push(socket) - 1;
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => onText(socket, bytes.toString(), number));
  });
  made.listen(0, '127.0.0.1');
  await once(made, 'listening');
  closers.push(() => {
    connections.forEach((socket) => socket.destroy());
    made.close();
  });
  return { port: (made.address() as AddressInfo).port, connections };
}

function pool(port: number, more: Partial<{ connectionsMax: number; connectTimeoutMs: number; secure: boolean }> = {}): ConnectionPool {
  const made = new ConnectionPool({ origin: { host: '127.0.0.1', port, secure: more.secure ?? false }, connectionsMax: more.connectionsMax ?? 4, connectTimeoutMs: more.connectTimeoutMs ?? 5_000 });
  closers.push(() => made.close());
  return made;
}

/** One request and what became of it. */
class Asked implements Sender {
  over = false;
  sending: Sending | undefined;
  body = '';
  readonly done = Promise.withResolvers<string>();
  readonly begun = Promise.withResolvers<void>();

  onSent(sending: Sending): void {
    this.sending = sending;
  }
  onHead(): void {
    this.begun.resolve();
  }
  onData(bytes: Buffer): void {
    this.body += bytes.toString();
  }
  onEnd(): void {
    this.over = true;
    this.done.resolve(this.body);
  }
  onFailure(failure: ConnectionFailure): void {
    this.over = true;
    this.done.resolve(`failed: ${failure.kind} ${(failure.cause as { code?: string } | undefined)?.code ?? ''}`.trim());
  }
}

function ask(from: ConnectionPool, body: string): Asked {
  const asked = new Asked();
  const bodyBytes = Buffer.byteLength(body);
  from.send({ head: `POST /it HTTP/1.1\r\nhost: it\r\ncontent-length: ${bodyBytes}\r\n\r\n`, body, bodyBytes }, asked);
  return asked;
}

const reply = (body: string, headers = ''): string => `HTTP/1.1 200 OK\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const said = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4);

test('a connection is used again, and text beyond ASCII passes unharmed', async () => {
  const { port, connections } = await server((socket, text) => socket.write(reply(said(text))));
  const line = pool(port);
  for (const text of ['one', 'zwei ä', '三 😀', '']) assert.equal(await ask(line, text).done.promise, text);
  assert.equal(connections.length, 1);
});

test('more requests than connections wait in line; one that is not wanted any more is not sent', async () => {
  const seen: string[] = [];
  const { port, connections } = await server((socket, text) => {
    seen.push(said(text));
    setTimeout(() => socket.write(reply(said(text))), 5);
  });
  const line = pool(port, { connectionsMax: 2 });
  const asked = ['a', 'b', 'c', 'd', 'e'].map((text) => ask(line, text));
  (asked[2] as Asked).over = true;
  assert.deepEqual(await Promise.all([0, 1, 3, 4].map((at) => asked[at]?.done.promise)), ['a', 'b', 'd', 'e']);
  assert.deepEqual(seen.sort(), ['a', 'b', 'd', 'e']);
  assert.equal(connections.length, 2);
});

test('a request that is not wanted any more is not kept while the server hangs', async () => {
  const seen: string[] = [];
  const { port } = await server((socket, text) => {
    seen.push(said(text));
    if (seen.length > 1) socket.write(reply(said(text)));
  });
  const line = pool(port, { connectionsMax: 1 });
  const hanging = ask(line, 'hangs');
  const texts = Array.from({ length: 100 }, (_, at) => `wanted ${at}`);
  const wanted = texts.map((text) => ask(line, text));
  /** How often the line was looked through for those who left: about once each. */
  let looks = 0;
  const kept: WeakRef<RequestBytes>[] = [];
  for (let at = 0; at < 1_000; at++) {
    const request = { head: '', body: '', bodyBytes: 0 };
    kept.push(new WeakRef(request));
    const sender = Object.defineProperty(new Asked(), 'over', { get: () => (looks++, true) });
    line.send(request, sender);
    line.left();
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const held = kept.filter((each) => each.deref() !== undefined).length;
  assert.ok(held <= texts.length, `${held} held: no more than are wanted`);
  assert.ok(looks <= 2_000, `${looks} looks`);
  hanging.sending?.abort();
  assert.deepEqual(await Promise.all(wanted.map(({ done }) => done.promise)), texts);
  assert.deepEqual(seen, ['hangs', ...texts]);
});

test('a connection that the server closes, or soon will, or that says something unasked, carries no further request', async () => {
  const ways: Readonly<Record<string, (socket: Socket) => void>> = {
    'says so': (socket) => socket.write(reply('x', 'connection: close\r\n')),
    'keeps it for a second only': (socket) => socket.write(reply('x', 'keep-alive: timeout=1\r\n')),
    'closes it in silence': (socket) => socket.end(reply('x')),
    'speaks on at once': (socket) => socket.write(`${reply('x')}HTTP/1.1 200 OK\r\n`),
    'speaks on later': (socket) => {
      socket.write(reply('x'));
      setTimeout(() => socket.write(reply('forged')), 10);
    },
  };
  for (const [name, way] of Object.entries(ways)) {
    const { port, connections } = await server((socket) => way(socket));
    const line = pool(port);
    for (let round = 0; round < 3; round++) {
      assert.equal(await ask(line, 'q').done.promise, 'x', name);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    assert.equal(connections.length, 3, name);
  }
});

test('a server that answers before it has the whole request loses its connection', async () => {
  let answered = false;
  const { port, connections } = await server((socket) => {
    if (answered) return void socket.write(reply('second'));
    answered = true;
    socket.pause();
    socket.write(reply('too large'));
  });
  const line = pool(port);
  assert.equal(await ask(line, 'x'.repeat(20_000_000)).done.promise, 'too large');
  assert.equal(await ask(line, 'y').done.promise, 'second');
  assert.equal(connections.length, 2);
});

test('whoever aborts closes the connection and hears nothing more', async () => {
  const { port, connections } = await server((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun'));
  const asked = ask(pool(port), 'q');
  await asked.begun.promise;
  const closed = once(connections[0] as Socket, 'close');
  asked.sending?.abort();
  await closed;
  assert.equal(asked.over, false);
});

test('a request that is given up while its connection is made is never sent, and the connection serves the next', async () => {
  const seen: string[] = [];
  const { port, connections } = await server((socket, text) => {
    seen.push(said(text));
    socket.write(reply('x'));
  });
  const line = pool(port, { connectionsMax: 1 });
  ask(line, 'given up').over = true;
  assert.equal(await ask(line, 'wanted').done.promise, 'x');
  assert.deepEqual(seen, ['wanted']);
  assert.equal(connections.length, 1);
});

test('each way of failing has its kind', async () => {
  const nobody = await server(() => undefined);
  const silent = await server(() => undefined);
  const cut = await server((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc'));
  const garbage = await server((socket) => socket.write('hello'));
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  free.close();
  await once(free, 'close');
  assert.equal(await ask(pool(port), 'q').done.promise, 'failed: lost ECONNREFUSED');
  assert.equal(await ask(pool(silent.port, { secure: true, connectTimeoutMs: 50 }), 'q').done.promise, 'failed: connect-timeout');
  assert.equal(await ask(pool(cut.port), 'q').done.promise, 'failed: lost');
  assert.equal(await ask(pool(garbage.port), 'q').done.promise, 'failed: malformed');
  const closing = pool(nobody.port, { connectionsMax: 1 });
  const [sent, waiting] = [ask(closing, 'a'), ask(closing, 'b')];
  await new Promise((resolve) => setTimeout(resolve, 20));
  closing.close();
  assert.deepEqual([await sent.done.promise, await waiting.done.promise], ['failed: lost', 'failed: lost']);
});

test('a reader that pauses holds the server back', async () => {
  const bytes = 30_000_000;
  const { port, connections } = await server((socket) => socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes}\r\n\r\n${'x'.repeat(bytes)}`));
  const asked = ask(pool(port), 'q');
  const take = asked.onData.bind(asked);
  let pauses = 0;
  asked.onData = (piece) => {
    take(piece);
    if (pauses++ === 0) asked.sending?.pause();
  };
  await asked.begun.promise;
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(asked.body.length < 200_000, `${asked.body.length} bytes came through a pause`);
  assert.ok((connections[0] as Socket).writableLength > 0);
  asked.sending?.resume();
  assert.equal((await asked.done.promise).length, bytes);
});

test('TLS: the certificate is checked, and a session is resumed', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-tls-'));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string): string => join(folder, name);
  try {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file('key.pem'), '-out', file('cert.pem'), '-days', '2', '-subj', '/CN=it', '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
  } catch {
    context.skip('needs the command openssl, to make a certificate');
    return;
  }
  const secured = createTlsServer({ key: readFileSync(file('key.pem')), cert: readFileSync(file('cert.pem')) });
  const resumed: boolean[] = [];
  const { port, connections } = await server((socket, text) => {
    resumed.push((socket as TLSSocket).isSessionReused());
    socket.write(reply(said(text), 'connection: close\r\n'));
  }, secured);
  assert.match(await ask(pool(port, { secure: true }), 'q').done.promise, /^failed: lost (DEPTH_ZERO_)?SELF_SIGNED_CERT/);
  assert.equal(connections.length, 0);
  setDefaultCACertificates([...getCACertificates(), readFileSync(file('cert.pem'), 'utf8')]);
  const line = pool(port, { secure: true });
  for (const text of ['first ä', 'x'.repeat(10_000)]) assert.equal(await ask(line, text).done.promise, text);
  assert.deepEqual(resumed, [false, true]);
});
