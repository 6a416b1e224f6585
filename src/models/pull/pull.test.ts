/** Downloads against a local server that cuts the line, changes files, lies about them, ignores ranges and redirects. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { TandemError } from '../../errors.ts';
import type { ErrorCode } from '../../errors.ts';
import { seededRandom } from '../../system/random.ts';
import type { Clock } from '../../system/clock.ts';
import { choose } from './hub.ts';
import { findPulled, listPulled, modelFolder, pullModel } from './index.ts';
import type { PullOptions, PullProgress } from './index.ts';
import { withLock } from './lock.ts';
import { parseSpec } from './spec.ts';

const SIZE = 3_000_000;
const random = seededRandom(5);
const noise = Buffer.from(Array.from({ length: SIZE }, () => Math.floor(random.next() * 256)));
const content = Buffer.concat([header(), noise]).subarray(0, SIZE);
const other = Buffer.concat([Buffer.from('GGUF'), Buffer.alloc(SIZE - 4, 7)]);
const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** The head of a GGUF file without metadata, with one tensor of so many numbers of four bytes, or none. */
function header(numbers = 0): Buffer {
  const [magic, name] = [Buffer.from('GGUF'), Buffer.from('t')];
  const u32 = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer);
  const u64 = (value: number): Buffer => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
  return Buffer.concat([magic, u32(3), u64(numbers === 0 ? 0 : 1), u64(0), ...(numbers === 0 ? [] : [u64(name.length), name, u32(1), u64(numbers), u32(0), u64(0)])]);
}

/** How the server treats the next requests for the file. */
interface Behaviour {
  file: Buffer;
  etag: string | undefined;
  /** Last-Modified. */
  modified: string | undefined;
  /** Cut the line after this many bytes of each reply, this many times. */
  cutAfter: number;
  cuts: number;
  ranges: boolean;
  /** Ignore If-Range: answer 206 even when the ETag is another one. */
  careless: boolean;
  status: number | undefined;
  length: boolean;
  listedSha: string;
  listedBytes: number;
  sidecar: string | undefined;
}

let server: Server;
let base: string;
let elsewhere: Server;
let elsewhereBase: string;
let how: Behaviour;
let seen: { url: string; range: string | undefined; token: string | undefined }[] = [];
let cache: string;
const clock: Clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now(), sleep: async (_ms, signal) => (await new Promise(setImmediate), signal?.throwIfAborted()) };

before(async () => {
  server = createServer(serve);
  elsewhere = createServer(serve);
  for (const it of [server, elsewhere]) await new Promise<void>((resolve) => it.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  elsewhereBase = `http://localhost:${(elsewhere.address() as AddressInfo).port}`;
});
after(() => {
  for (const it of [server, elsewhere]) {
    it.close();
    it.closeAllConnections();
  }
});
beforeEach(async () => {
  how = { file: content, etag: '"one"', modified: undefined, cutAfter: Number.POSITIVE_INFINITY, cuts: 0, ranges: true, careless: false, status: undefined, length: true, listedSha: sha(content), listedBytes: SIZE, sidecar: undefined };
  seen = [];
  cache = await mkdtemp(join(tmpdir(), 'tandem-pull-'));
});
afterEach(() => rm(cache, { recursive: true, force: true }));

function serve(request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url ?? '', base);
  seen.push({ url: pathname, range: request.headers.range, token: request.headers.authorization });
  if (pathname.startsWith('/api/models/org/split/')) {
    const part = (n: number): object => ({ rfilename: `big-0000${n}-of-00002.gguf`, size: SIZE, lfs: { sha256: sha(content), size: SIZE } });
    return void response.end(JSON.stringify({ siblings: [part(2), part(1)] }));
  }
  if (pathname.startsWith('/api/models/org/tiny/')) {
    const file = (rfilename: string): object => ({ rfilename, size: how.listedBytes, lfs: { sha256: how.listedSha, size: how.listedBytes } });
    response.setHeader('content-type', 'application/json');
    return void response.end(JSON.stringify({ siblings: [{ rfilename: 'README.md', size: 3 }, file('tiny-Q8_0.gguf'), file('sub/tiny-Q4_K_M.gguf'), file('tiny-F16.gguf')] }));
  }
  if (pathname === '/redirect/model.gguf') return void response.writeHead(302, { location: `${elsewhereBase}/model.gguf` }).end();
  if (pathname === '/loop/model.gguf') return void response.writeHead(302, { location: '/loop/model.gguf' }).end();
  if (/^\/org\/\w+\/resolve\/main\//.test(pathname)) return void response.writeHead(307, { location: `${elsewhereBase}/model.gguf` }).end();
  if (pathname.endsWith('.sha256')) return void (how.sidecar === undefined ? response.writeHead(404).end() : response.end(how.sidecar));
  if (pathname !== '/model.gguf') return void response.writeHead(404).end();
  serveFile(request, response);
}

function serveFile(request: IncomingMessage, response: ServerResponse): void {
  if (how.status !== undefined) return void response.writeHead(how.status).end();
  const asked = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
  const ifRange = request.headers['if-range'];
  const partial = asked !== undefined && how.ranges && (ifRange === undefined || ifRange === how.etag || ifRange === how.modified || how.careless);
  const start = partial ? Number(asked) : 0;
  const headers: Record<string, string | number> = { ...(how.etag === undefined ? {} : { etag: how.etag }), ...(how.modified === undefined ? {} : { 'last-modified': how.modified }) };
  if (partial && start >= how.file.length) return void response.writeHead(416, { 'content-range': `bytes */${how.file.length}` }).end();
  if (partial) headers['content-range'] = `bytes ${start}-${how.file.length - 1}/${how.file.length}`;
  const rest = how.file.subarray(start);
  if (how.length) headers['content-length'] = rest.length;
  response.writeHead(partial ? 206 : 200, headers);
  if (how.cuts > 0 && how.cutAfter < rest.length) {
    how.cuts--;
    response.write(rest.subarray(0, how.cutAfter), () => setImmediate(() => response.socket?.destroy()));
    return;
  }
  response.end(rest);
}

const pull = (spec: string, options: PullOptions = {}, onProgress?: (progress: PullProgress) => void, signal?: AbortSignal): ReturnType<typeof pullModel> =>
  pullModel(spec, { clock, random: seededRandom(1), stallMs: 3_000, ...options, env: { TANDEM_CACHE: cache, ...options.env } }, onProgress, signal);
const failsWith = (code: ErrorCode, text?: RegExp) => (error: unknown): boolean => {
  assert.ok(TandemError.is(error), String(error));
  assert.equal(error.code, code, error.message);
  if (text !== undefined) assert.match(error.message, text);
  return true;
};
const files = async (): Promise<string[]> => (await readdir(join(cache, 'models'))).sort();
const ranges = (): (string | undefined)[] => seen.filter(({ url }) => url === '/model.gguf').map(({ range }) => range);

describe('from an address', () => {
  test('fetches, describes and finds again', async () => {
    const states: PullProgress[] = [];
    const pulled = await pull(`${base}/model.gguf`, {}, (state) => states.push(state));
    assert.deepEqual(await readFile(pulled.path), content);
    assert.deepEqual([pulled.name, pulled.bytes, pulled.sha256, pulled.checkedAgainst], ['model', SIZE, sha(content), 'nothing']);
    assert.deepEqual(await files(), ['model.gguf', 'model.gguf.json']);
    assert.deepEqual(await listPulled({ TANDEM_CACHE: cache }), [pulled]);
    for (const name of ['model', 'model.gguf']) assert.equal((await findPulled(name, { TANDEM_CACHE: cache }))?.path, pulled.path);
    assert.equal(await findPulled('../model', { TANDEM_CACHE: cache }), undefined);
    assert.deepEqual([states.at(-1)?.phase, states.at(-1)?.bytes, states.at(-1)?.totalBytes], ['done', SIZE, SIZE]);
    assert.ok(states.some(({ phase }) => phase === 'downloading'));
  });
  test('does not fetch what is there, and fetches again when it is damaged', async () => {
    const pulled = await pull(`${base}/model.gguf`);
    await pull(`${base}/model.gguf`);
    assert.equal(ranges().length, 1);
    const damaged = Buffer.from(content);
    damaged.fill(0, 1_000, 2_000);
    for (const bytes of [Buffer.from('GGUF'), damaged]) {
      await writeFile(pulled.path, bytes);
      await pull(`${base}/model.gguf`);
      assert.deepEqual(await readFile(pulled.path), content);
    }
  });
  test('what is there is read again, which can be stopped', async () => {
    await pull(`${base}/model.gguf`);
    const states: PullProgress[] = [];
    await pull(`${base}/model.gguf`, {}, (state) => states.push(state));
    assert.ok(states.some(({ phase, totalBytes }) => phase === 'checking' && totalBytes === SIZE));
    const stop = new AbortController();
    await assert.rejects(pull(`${base}/model.gguf`, {}, ({ phase }) => (phase === 'checking' ? stop.abort() : undefined), stop.signal), failsWith('cancelled'));
    assert.deepEqual(await readFile(join(cache, 'models', 'model.gguf')), content);
  });
  test('a file that somebody else put there is not overwritten', async () => {
    await mkdir(join(cache, 'models'), { recursive: true });
    const own = join(cache, 'models', 'model.gguf');
    await writeFile(own, 'GGUF of mine');
    for (const spec of [`${base}/model.gguf`, `${base}/model.gguf#sha256=${sha(content)}`]) await assert.rejects(pull(spec), failsWith('usage', /exists and was not fetched.*--name/));
    assert.equal(await readFile(own, 'utf8'), 'GGUF of mine');
    assert.equal((await pull(`${base}/model.gguf`, { name: 'another' })).name, 'another');
    await writeFile(own, content);
    const asked = ranges().length;
    const taken = await pull(`${base}/model.gguf#sha256=${sha(content)}`);
    assert.deepEqual([taken.sha256, taken.bytes, ranges().length], [sha(content), SIZE, asked], 'the very file is taken over without fetching it');
    assert.equal((await findPulled('model', { TANDEM_CACHE: cache }))?.path, own);
  });
  test('another source does not take over a name', async () => {
    await pull(`${base}/model.gguf`);
    await assert.rejects(pull(`${base}/redirect/model.gguf`), failsWith('usage', /--name/));
    assert.equal((await pull(`${base}/redirect/model.gguf`, { name: 'second' })).name, 'second');
  });
  test('a line that is cut many times is taken up where it broke', async () => {
    Object.assign(how, { cutAfter: 400_000, cuts: 6 });
    const pulled = await pull(`${base}/model.gguf`, { retriesMax: 1 });
    assert.deepEqual(await readFile(pulled.path), content);
    assert.equal(ranges().length, 7);
    assert.ok(ranges().slice(1).every((range) => range !== undefined), 'every further request asked for the rest only');
  });
  test('another run takes up what the last one left, and hashes it again', async () => {
    Object.assign(how, { cutAfter: 500_000, cuts: 3 });
    await assert.rejects(pull(`${base}/model.gguf`, { retriesMax: 0, clock: { ...clock, sleep: () => Promise.reject(new Error('stopped')) } }), failsWith('cancelled'));
    const kept = (await stat(join(cache, 'models', 'model.gguf.part'))).size;
    assert.ok(kept > 0);
    how.cuts = 0;
    const states: PullProgress[] = [];
    assert.equal((await pull(`${base}/model.gguf#sha256=${sha(content)}`, {}, (state) => states.push(state))).sha256, sha(content));
    assert.equal(ranges().at(-1), `bytes=${kept}-`);
    assert.ok(states.some(({ phase, bytes }) => phase === 'checking' && bytes > 0));
    assert.deepEqual(await files(), ['model.gguf', 'model.gguf.json']);
  });
  for (const careless of [false, true]) {
    test(`a file that changed meanwhile is fetched anew${careless ? ', also when the server ignores If-Range' : ''}`, async () => {
      Object.assign(how, { cutAfter: 500_000, cuts: 1 });
      await assert.rejects(pull(`${base}/model.gguf`, { clock: { ...clock, sleep: () => Promise.reject(new Error('stopped')) } }), failsWith('cancelled'));
      Object.assign(how, { file: other, etag: '"two"', careless });
      assert.equal((await pull(`${base}/model.gguf`)).sha256, sha(other));
    });
  }
  const longAgo = ['Mon, 01 Jan 2024 00:00:00 GMT', 'Tue, 02 Jan 2024 00:00:00 GMT'] as const;
  const justNow = new Date().toUTCString();
  const tellings: readonly [string, Partial<Behaviour>, Partial<Behaviour>, boolean][] = [
    ['a time of change long ago', { etag: undefined, modified: longAgo[0] }, { modified: longAgo[1] }, true],
    ['a time of change long ago, and a server that ignores If-Range', { etag: undefined, modified: longAgo[0] }, { modified: longAgo[1], careless: true }, true],
    ['a time of change just now', { etag: undefined, modified: justNow }, { careless: true }, false],
    ['a weak ETag', { etag: 'W/"same"', modified: longAgo[0] }, { modified: longAgo[1], careless: true }, false],
    ['nothing', { etag: undefined }, { careless: true }, false],
  ];
  for (const [name, before, after, resumes] of tellings) {
    test(`versions of a file are never joined: told apart by ${name}`, async () => {
      for (const changed of [false, true]) {
        await rm(join(cache, 'models'), { recursive: true, force: true });
        Object.assign(how, { file: content, careless: false, cutAfter: 500_000, cuts: 1, ...before });
        await assert.rejects(pull(`${base}/model.gguf`, { clock: { ...clock, sleep: () => Promise.reject(new Error('stopped')) } }), failsWith('cancelled'));
        if (changed) Object.assign(how, { file: other, ...after });
        seen = [];
        assert.equal((await pull(`${base}/model.gguf`)).sha256, sha(how.file));
        assert.equal(ranges()[0] !== undefined, resumes, 'goes on where it stopped');
      }
    });
  }
  test('a known SHA-256 shows in the end whether a file is the same', async () => {
    Object.assign(how, { etag: undefined, cutAfter: 500_000, cuts: 1 });
    await pull(`${base}/model.gguf#sha256=${sha(content)}`);
    assert.match(ranges()[1] ?? '', /^bytes=\d+-$/);
  });
  test('a server that ignores ranges sends everything again', async () => {
    Object.assign(how, { cutAfter: 700_000, cuts: 2, ranges: false });
    assert.equal((await pull(`${base}/model.gguf`)).sha256, sha(content));
  });
  test('a part that is longer than the file, or of another one, is dropped', async () => {
    await mkdir(join(cache, 'models'));
    await writeFile(join(cache, 'models', 'model.gguf.part'), Buffer.alloc(SIZE + 5, 1));
    assert.equal((await pull(`${base}/model.gguf`)).sha256, sha(content));
    await rm(join(cache, 'models', 'model.gguf'));
    await writeFile(join(cache, 'models', 'model.gguf.part'), Buffer.alloc(SIZE + 5, 1));
    await writeFile(join(cache, 'models', 'model.gguf.part.json'), JSON.stringify({ url: `${base}/model.gguf` }));
    assert.equal((await pull(`${base}/model.gguf`)).sha256, sha(content), 'answered 416, fetched anew');
  });
  test('works without a length and without an ETag', async () => {
    Object.assign(how, { length: false, etag: undefined });
    assert.equal((await pull(`${base}/model.gguf`)).bytes, SIZE);
  });
  test('a file without a length that ends too early is known by its tensors', async () => {
    const whole = Buffer.concat([header(500_000), Buffer.alloc(2_000_000 + 64, 1)]);
    Object.assign(how, { length: false, etag: undefined, file: whole.subarray(0, 1_000_000) });
    await assert.rejects(pull(`${base}/model.gguf`), failsWith('download_corrupt', /truncated/));
    assert.deepEqual(await files(), []);
    how.file = whole;
    assert.equal((await pull(`${base}/model.gguf`)).bytes, whole.length);
  });
  test('the SHA-256 of the fragment or beside the file is kept to', async () => {
    await assert.rejects(pull(`${base}/model.gguf#sha256=${sha(other)}`), failsWith('download_corrupt', /SHA-256/));
    assert.deepEqual(await files(), [], 'the damaged part was removed');
    assert.equal((await pull(`${base}/model.gguf#sha256=${sha(content).toUpperCase()}`)).checkedAgainst, 'fragment');
    await rm(join(cache, 'models'), { recursive: true });
    how.sidecar = `${sha(content)}  model.gguf\n`;
    assert.equal((await pull(`${base}/model.gguf`)).checkedAgainst, 'sidecar');
    await rm(join(cache, 'models'), { recursive: true });
    how.sidecar = sha(other);
    await assert.rejects(pull(`${base}/model.gguf`), failsWith('download_corrupt'));
  });
  test('what is not GGUF is refused', async () => {
    how.file = Buffer.from('<html>Please log in</html>');
    await assert.rejects(pull(`${base}/model.gguf`), failsWith('download_corrupt', /GGUF/));
    assert.deepEqual(await files(), []);
  });
  test('redirects are followed, but not for ever', async () => {
    assert.equal((await pull(`${base}/redirect/model.gguf`)).bytes, SIZE);
    await assert.rejects(pull(`${base}/loop/model.gguf`, { name: 'loop' }), failsWith('download_failed', /more than/));
  });
  test('a server that fails is asked again; one that refuses is not', async () => {
    how.status = 503;
    await assert.rejects(pull(`${base}/model.gguf`, { retriesMax: 3 }), failsWith('download_failed', /503.*Gave up after 3/));
    assert.equal(ranges().length, 4);
    how.status = 403;
    seen = [];
    await assert.rejects(pull(`${base}/model.gguf`), failsWith('download_failed', /HF_TOKEN/));
    assert.equal(ranges().length, 1);
    await assert.rejects(pull('http://127.0.0.1:9/model.gguf', { retriesMax: 1 }), failsWith('download_failed', /ECONNREFUSED/));
  });
  test('a full disk is noticed before the first byte', async () => {
    await assert.rejects(pull(`${base}/model.gguf`, { freeBytes: async () => 1_000 }), failsWith('download_failed', /free bytes/));
  });
  test('can be stopped, and goes on later', async () => {
    const controller = new AbortController();
    const stopped = pull(`${base}/model.gguf`, {}, ({ phase, bytes }) => phase === 'downloading' && bytes > 0 && controller.abort(), controller.signal);
    await assert.rejects(stopped, failsWith('cancelled'));
    assert.deepEqual((await files()).filter((name) => name.endsWith('.lock')), []);
    assert.equal((await pull(`${base}/model.gguf`)).sha256, sha(content));
  });
  test('two pulls of one file fetch it once', async () => {
    const phases: string[] = [];
    const [a, b] = await Promise.all([pull(`${base}/model.gguf`), pull(`${base}/model.gguf`, {}, ({ phase }) => phases.push(phase))]);
    assert.deepEqual(a, b);
    assert.equal(ranges().length, 1);
  });
  test('the lock of a process that is gone is taken over; a live one is waited for', async () => {
    await mkdir(join(cache, 'models'));
    await writeFile(join(cache, 'models', 'model.gguf.lock'), `999999999@${hostname()}`);
    await pull(`${base}/model.gguf`);
    await writeFile(join(cache, 'models', 'second.gguf.lock'), `${process.pid}@${hostname()}`);
    const controller = new AbortController();
    const waiting = pull(`${base}/redirect/model.gguf`, { name: 'second' }, ({ phase }) => phase === 'waiting' && controller.abort(), controller.signal);
    await assert.rejects(waiting, failsWith('cancelled'));
  });
});

test('a lock that somebody else took over meanwhile is not removed', async () => {
  const path = join(cache, 'it.lock');
  await writeFile(path, '1@elsewhere');
  await utimes(path, 0, 0);
  const live = `${process.pid}@${hostname()}`;
  let looks = 0;
  const late: Clock = {
    ...clock,
    wallMs: () => {
      if (looks++ === 0) (rmSync(path), writeFileSync(path, live)); // between the look and the removal
      return Date.now();
    },
    sleep: () => Promise.reject(new Error('stopped')),
  };
  await assert.rejects(withLock(path, late, new AbortController().signal, () => {}, async () => assert.fail('two at once')), failsWith('cancelled'));
  assert.equal(await readFile(path, 'utf8'), live);
  assert.deepEqual(await readdir(cache), ['it.lock']);
});

describe('from the hub', () => {
  test('prefers Q4_K_M, checks size and SHA-256, keeps the token to itself', async () => {
    const pulled = await pull('org/tiny', { endpoint: base, env: { HF_TOKEN: 'secret' } });
    assert.deepEqual([pulled.name, pulled.source, pulled.checkedAgainst], ['tiny-Q4_K_M', 'org/tiny:sub/tiny-Q4_K_M.gguf', 'hub']);
    assert.ok(seen.filter(({ url }) => url !== '/model.gguf').every(({ token }) => token === 'Bearer secret'));
    assert.equal(seen.find(({ url }) => url === '/model.gguf')?.token, undefined);
    await pull('org/tiny', { endpoint: base });
    assert.equal(ranges().length, 1);
  });
  test('a file or a quantisation by name, and a mirror from the environment', async () => {
    assert.equal((await pull('org/tiny:tiny-F16.gguf', { env: { HF_ENDPOINT: `${base}/` } })).name, 'tiny-F16');
    assert.equal((await pull('org/tiny:q8_0', { endpoint: base })).name, 'tiny-Q8_0');
    await assert.rejects(pull('org/tiny:Q2_K', { endpoint: base }), failsWith('download_failed', /tiny-F16\.gguf/));
    await assert.rejects(pull('org/none', { endpoint: base }), failsWith('download_failed', /404/));
  });
  test('a wrong hash or size is refused', async () => {
    how.listedSha = sha(other);
    await assert.rejects(pull('org/tiny', { endpoint: base }), failsWith('download_corrupt', /SHA-256/));
    how.listedSha = sha(content);
    how.listedBytes = SIZE + 1;
    await assert.rejects(pull('org/tiny', { endpoint: base }), failsWith('download_corrupt', /bytes/));
  });
  test('a split model is fetched whole, its parts where the engine looks for them', async () => {
    const states: PullProgress[] = [];
    const pulled = await pull('org/split', { endpoint: base, name: 'mine' }, (state) => states.push(state));
    assert.deepEqual(await files(), ['mine-00001-of-00002.gguf', 'mine-00001-of-00002.gguf.json', 'mine-00002-of-00002.gguf']);
    assert.deepEqual([pulled.name, pulled.bytes, pulled.parts?.length, states.at(-1)?.totalBytes], ['mine-00001-of-00002', 2 * SIZE, 2, 2 * SIZE]);
    assert.equal((await listPulled({ TANDEM_CACHE: cache })).length, 1);
  });
  test('a part of a split model that is gone or damaged is noticed', async () => {
    const pulled = await pull('org/split', { endpoint: base });
    const requests = ranges().length;
    assert.deepEqual(await pull('org/split', { endpoint: base }), pulled);
    assert.equal(ranges().length, requests);
    for (const spoil of [() => rm(pulled.parts?.[1] ?? ''), () => writeFile(pulled.parts?.[1] ?? '', 'GGUF')]) {
      await spoil();
      assert.equal(await findPulled(pulled.name, { TANDEM_CACHE: cache }), undefined);
      await pull('org/split', { endpoint: base });
      assert.deepEqual(await readFile(pulled.parts?.[1] ?? ''), content);
    }
  });
  test('an update on the hub is fetched', async () => {
    await pull('org/tiny', { endpoint: base });
    Object.assign(how, { file: other, etag: '"two"', listedSha: sha(other) });
    assert.equal((await pull('org/tiny', { endpoint: base })).sha256, sha(other));
  });
});

describe('what is asked for', () => {
  test('is read', () => {
    assert.deepEqual(parseSpec('a/b'), { kind: 'hub', repo: 'a/b', revision: 'main' });
    assert.deepEqual(parseSpec('a/b@v2:x/y.gguf'), { kind: 'hub', repo: 'a/b', revision: 'v2', file: 'x/y.gguf' });
    for (const wrong of ['', 'a', 'a/b/c', '../b', 'a/b:../x', 'a/b:/x', 'ftp://x/y.gguf', 'http://x/', 'http://x/y.gguf#sha256=12', 'https://', 'http://user:pw@x/y.gguf']) {
      assert.throws(() => parseSpec(wrong), failsWith('usage'), wrong);
    }
  });
  test('is chosen by the documented order', () => {
    const files = (...paths: string[]): Parameters<typeof choose>[0] => paths.map((path, i) => ({ path, url: new URL(`http://x/${path}`), bytes: 100 - i }));
    const chosen = (all: Parameters<typeof choose>[0], file?: string): string[] => choose(all, { repo: 'a/b', ...(file === undefined ? {} : { file }) }).map(({ path }) => path);
    assert.deepEqual(chosen(files('m-Q8_0.gguf', 'm.q4_k_m.gguf', 'm-IQ4_K_M.gguf')), ['m.q4_k_m.gguf']);
    assert.deepEqual(chosen(files('mmproj-m-Q4_K_M.gguf', 'm-Q8_0.gguf', 'm.imatrix.gguf')), ['m-Q8_0.gguf']);
    assert.deepEqual(chosen(files('a.gguf', 'b.gguf')), ['b.gguf'], 'the smallest');
    assert.deepEqual(chosen(files('m-Q4_K_M-00002-of-00002.gguf', 'm-Q4_K_M-00001-of-00002.gguf', 'm-Q8_0.gguf')), ['m-Q4_K_M-00001-of-00002.gguf', 'm-Q4_K_M-00002-of-00002.gguf']);
    assert.throws(() => chosen(files('README.md')), failsWith('download_failed', /no GGUF/));
  });
  test('the folder follows the environment', () => {
    assert.equal(modelFolder({ TANDEM_CACHE: '/c' }), join('/c', 'models'));
    assert.equal(modelFolder({ HOME: '/h' }), join('/h', '.cache', 'tandem', 'models'));
  });
});
