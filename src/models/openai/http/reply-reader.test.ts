import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../../system/random.ts';
import { MalformedReply, type ReplyHead } from './reply-head.ts';
import { ReplyReader } from './reply-reader.ts';

interface Read {
  readonly head: ReplyHead;
  body: string;
  ended: boolean;
}

/** Gives a reader bytes in pieces, and tells what it read. The buffer of each piece is spoilt afterwards, as a shared one would be. */
function read(pieces: readonly Buffer[], closed = false): { readonly replies: readonly Read[]; readonly reader: ReplyReader } {
  const replies: Read[] = [];
  const last = (): Read => replies[replies.length - 1] as Read;
  const reader = new ReplyReader({
    onHead: (head) => void replies.push({ head, body: '', ended: false }),
    onData: (bytes) => void (last().body += bytes.toString('latin1')),
    onEnd: () => void (last().ended = true),
  });
  for (const piece of pieces) {
    const shared = Buffer.from(piece);
    reader.push(shared);
    shared.fill(0x2a);
  }
  if (closed) reader.close();
  return { replies, reader };
}

const whole = (text: string): Buffer[] => [Buffer.from(text, 'latin1')];

/** The text cut at these places. */
function cut(text: string, ...places: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  return [0, ...places].map((from, at) => bytes.subarray(from, places[at] ?? bytes.length));
}

const good: Readonly<Record<string, readonly [text: string, status: number, body: string, keeps: boolean]>> = {
  'a length': ['HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-length: 5\r\n\r\nhello', 200, 'hello', true],
  'a length of nothing': ['HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n', 500, '', true],
  'the same length twice': ['HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nhi', 200, 'hi', true],
  'no body by its status': ['HTTP/1.1 204 No Content\r\nx: y\r\n\r\n', 204, '', true],
  chunks: ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0A;ext="1"\r\n 123\r\n5678\r\n0\r\n\r\n', 200, 'hello 123\r\n5678', true],
  'chunks with trailers': ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n000\r\nx-sum: 1\r\ny: 2\r\n\r\n', 200, 'a', true],
  'an early hint': ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx', 200, 'x', true],
  'the last of its connection': ['HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 1\r\n\r\nx', 200, 'x', false],
  'an old server': ['HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx', 200, 'x', false],
  'an old server that keeps': ['HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx', 200, 'x', true],
};

test('a reply is the same however its bytes come', () => {
  for (const [name, [text, status, body, keeps]] of Object.entries(good)) {
    const cuts = [whole(text), cut(text, ...Array.from({ length: text.length - 1 }, (_, at) => at + 1))];
    for (let first = 1; first < text.length; first++) cuts.push(cut(text, first));
    for (const pieces of cuts) {
      const { replies, reader } = read(pieces);
      assert.deepEqual(replies.map((reply) => ({ status: reply.head.status, body: reply.body, ended: reply.ended })), [{ status, body, ended: true }], name);
      assert.equal(reader.keepsAlive, keeps, name);
    }
  }
});

test('replies that are made at random and cut at random are read as they were made', () => {
  const random = seededRandom(20_261_121);
  const upTo = (most: number): number => Math.floor(random.next() * (most + 1));
  for (let round = 0; round < 3_000; round++) {
    const body = Array.from({ length: upTo(60) }, () => String.fromCharCode(upTo(255))).join('');
    let text = `HTTP/1.1 ${200 + upTo(3)} ${'x'.repeat(upTo(4))}\r\nX-Random:\t${upTo(99)} \r\n`;
    if (random.next() < 0.5) text += `content-length: ${body.length}\r\n\r\n${body}`;
    else {
      text += 'transfer-encoding: Chunked\r\n\r\n';
      for (let at = 0; at < body.length; ) {
        const size = 1 + upTo(9);
        const chunk = body.slice(at, at + size);
        text += `${chunk.length.toString(16)}\r\n${chunk}\r\n`;
        at += size;
      }
      text += '0\r\n\r\n';
    }
    const places = Array.from({ length: upTo(6) }, () => upTo(text.length)).sort((a, b) => a - b);
    const { replies } = read(cut(text, ...places));
    assert.equal(replies.length, 1);
    assert.deepEqual([replies[0]?.body, replies[0]?.ended], [body, true], JSON.stringify({ text, places }));
  }
});

test('a body without a length ends with its connection', () => {
  const { replies, reader } = read(cut('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nabc', 20, 58), true);
  assert.deepEqual([replies[0]?.body, replies[0]?.ended, reader.keepsAlive], ['abc', true, false]);
});

test('a reply that is cut short has not ended', () => {
  for (const [text] of Object.values(good)) {
    const { replies, reader } = read(whole(text.slice(0, -1)));
    assert.equal(replies[0]?.ended ?? false, false);
    assert.equal(reader.close(), false);
  }
});

test('names of headers have no case, and several of one name are one list', () => {
  const { replies } = read(whole('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: 1\r\nx-a: 2\r\n\r\n'));
  assert.equal(replies[0]?.head.get('x-a'), '1, 2');
  assert.equal(replies[0]?.head.get('x'), undefined);
});

test('what the server says of the life of the connection is read', () => {
  const { reader } = read(whole('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\ncontent-length: 0\r\n\r\n'));
  assert.equal(reader.keepMs, 5_000);
});

test('what follows a reply unasked is dropped, and its connection is not kept', () => {
  for (const [name, [text]] of Object.entries(good)) {
    const { replies, reader } = read(whole(`${text}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged`));
    assert.equal(replies.length, 1, name);
    assert.equal(reader.keepsAlive, false, name);
  }
});

test('what is not clearly framed is refused, and what came before it is still told', () => {
  const head = 'HTTP/1.1 200 OK\r\n';
  const chunked = `${head}transfer-encoding: chunked\r\n\r\n`;
  const bad: Readonly<Record<string, string>> = {
    'not HTTP': 'SSH-2.0-OpenSSH\r\n',
    'another version': 'HTTP/2.0 200 OK\r\n\r\n',
    'no status': 'HTTP/1.1 OK\r\n\r\n',
    'a status of four digits': 'HTTP/1.1 2000 OK\r\n\r\n',
    'a status that is only a number to JavaScript': 'HTTP/1.1 2e2 OK\r\ncontent-length: 0\r\n\r\n',
    'another protocol': 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n',
    'a header without a colon': `${head}nothing\r\n\r\n`,
    'a space before the colon': `${head}content-length : 1\r\n\r\nx`,
    'a folded header': `${head}x: 1\r\n  2\r\n\r\n`,
    'a bare line feed in a header': `${head}x: 1\ncontent-length: 1\r\n\r\nx`,
    'two lengths': `${head}content-length: 1\r\ncontent-length: 2\r\n\r\nxx`,
    'a length with a sign': `${head}content-length: +1\r\n\r\nx`,
    'a length and chunks': `${head}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    'another coding': `${head}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    'chunks of an old server': 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    'a chunk without a size': `${chunked}\r\nabc`,
    'a size that is no number': `${chunked}0x1\r\na\r\n0\r\n\r\n`,
    'a size beyond every body': `${chunked}fffffffffffff\r\n`,
    'a chunk that is longer than it said': `${chunked}1\r\nabc\r\n0\r\n\r\n`,
    'a line feed alone after a size': `${chunked}1\na\r\n0\r\n\r\n`,
    'a head without end': `${head}x: ${'y'.repeat(70_000)}`,
    'interim replies without end': 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(4_000),
    'trailers without end': `${chunked}0\r\n${'a: b\r\n'.repeat(20_000)}`,
    'a chunk extension without end': `${chunked}1;${'x'.repeat(5_000)}`,
  };
  for (const [name, text] of Object.entries(bad)) {
    assert.throws(() => read(whole(text)), MalformedReply, name);
    assert.throws(() => read(cut(text, ...Array.from({ length: Math.min(text.length - 1, 200) }, (_, at) => at + 1))), MalformedReply, `${name}, byte by byte`);
  }
  const told: string[] = [];
  const reader = new ReplyReader({ onHead: () => undefined, onData: (bytes) => void told.push(bytes.toString()), onEnd: () => undefined });
  assert.throws(() => reader.push(Buffer.from(`${chunked}3\r\nabc\r\nzz\r\n`)), MalformedReply);
  assert.deepEqual(told, ['abc']);
});
