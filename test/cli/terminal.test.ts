/** What a person sees on a terminal, and what Ctrl-C does, on a pseudo-terminal made by util-linux's `script`. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { slowServer } from './slow-server.ts';
import { folder, root, start, ended } from './tandem.ts';

const skip = noScript();

function noScript(): string | false {
  try {
    return /util-linux/.test(execFileSync('script', ['--version'], { encoding: 'utf8' })) ? false : 'the command script of util-linux is not there';
  } catch {
    return 'the command script of util-linux is not there';
  }
}

/** A process on a pseudo-terminal, and what it has shown. */
class Pty {
  readonly child: ChildProcessWithoutNullStreams;
  readonly end: Promise<number | null>;
  shown = '';
  #seen = 0;

  constructor(t: TestContext, args: readonly string[], cwd: string) {
    const command = [process.execPath, join(root, 'src/cli/main.ts'), ...args].map((word) => `'${word}'`).join(' ');
    const { NO_COLOR: _no, FORCE_COLOR: _force, DATABASE_URL: _url, ...env } = process.env;
    this.child = spawn('script', ['-qfec', command, '/dev/null'], { cwd, env: { ...env, TERM: 'xterm-256color', HOME: cwd } });
    this.child.stdin.on('error', () => undefined);
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => (this.shown += text));
    this.end = new Promise((resolve) => this.child.once('close', resolve));
    t.after(() => this.child.kill('SIGKILL'));
  }

  type(text: string): void {
    this.child.stdin.write(text);
  }

  /** Waits until something new is shown that matches. */
  async until(pattern: RegExp): Promise<void> {
    for (let waited = 0; waited < 20_000; waited += 20) {
      const match = pattern.exec(this.shown.slice(this.#seen));
      if (match !== null) {
        this.#seen += match.index + match[0].length;
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.fail(`${String(pattern)} was not shown after ${JSON.stringify(this.shown.slice(this.#seen))}`);
  }
}

function team(baseUrl: string): string {
  const member = (model: string): object => ({ engine: 'openai', baseUrl, model, place: 'device', retriesMax: 0 });
  return JSON.stringify({ members: { small: member('s'), large: member('l') }, gateway: { port: 0 }, store: { path: ':memory:' } });
}

test('chat: colours by member, Ctrl-C stops the answer, twice leaves', { skip, timeout: 60_000 }, async (t) => {
  const server = await slowServer(t, Array.from({ length: 200 }, (_, index) => `w${index} `), 50);
  const pty = new Pty(t, ['chat', '-m', 'small'], folder(t, { 'tandem.config.json': team(server.baseUrl) }));
  await pty.until(/\/help lists commands/);
  pty.type('hello\r');
  await pty.until(/\u001b\[36mw2 /);
  pty.type('\u0003');
  await pty.until(/The answer was stopped/);
  pty.type('/member large\r');
  await pty.until(/Answering with large alone/);
  pty.type('again\r');
  await pty.until(/\u001b\[35mw1 /);
  pty.type('\u0003');
  await pty.until(/The answer was stopped/);
  pty.type('\u0003');
  await pty.until(/Ctrl-C again leaves/);
  pty.type('\u0003');
  assert.equal(await pty.end, 0);
  await server.untilLeft(2);
  assert.deepEqual(server.requests().map(({ messages }) => messages.length), [1, 1], 'a stopped answer is not part of the conversation');
});

test('chat: Ctrl-C discards what was typed, Ctrl-D leaves, also while an answer is written', { skip, timeout: 60_000 }, async (t) => {
  const server = await slowServer(t, ['a ', 'b ', 'c '], 200);
  const pty = new Pty(t, ['chat', '-m', 'small'], folder(t, { 'tandem.config.json': team(server.baseUrl) }));
  await pty.until(/\/help lists commands/);
  pty.type('my secret');
  await pty.until(/my secret/);
  pty.type('\u0003');
  await pty.until(/Ctrl-C again leaves/);
  pty.type('hello\r');
  await pty.until(/a /);
  pty.type('\u0004');
  await pty.until(/trace [0-9a-f]{32}/);
  assert.equal(await pty.end, 0, pty.shown);
  assert.ok(!/readline|internal/.test(pty.shown), pty.shown);
  assert.deepEqual(server.requests().map(({ messages }) => messages.map(({ content }) => content)), [['hello']]);
});

test('chat over a pipe: Ctrl-C ends it with exit code 130', { timeout: 30_000 }, async (t) => {
  const server = await slowServer(t, Array.from({ length: 200 }, (_, index) => `w${index} `), 50);
  const child = start(['chat', '-m', 'small', '--no-marks'], { cwd: folder(t, { 'tandem.config.json': team(server.baseUrl) }) });
  child.stdin.end('one\ntwo\n');
  child.stdout.once('data', () => child.kill('SIGINT'));
  const { code, stdout, stderr } = await ended(child);
  assert.equal(code, 130);
  assert.match(stdout, /^w0 [w\d ]*\n?$/);
  assert.match(stderr, /The answer was stopped/);
  await server.untilLeft(1);
  assert.equal(server.requests().length, 1, 'the next message is not asked');
});

test('chat remembers the conversation, and forgets it on /clear', { skip }, async (t) => {
  const server = await slowServer(t, ['fine'], 0);
  const pty = new Pty(t, ['chat', '-m', 'small', '--system', 'Be kind.'], folder(t, { 'tandem.config.json': team(server.baseUrl) }));
  await pty.until(/\/help lists commands/);
  for (const line of ['one', 'two', '/clear', 'three']) {
    pty.type(`${line}\r`);
    await pty.until(line === '/clear' ? /forgotten/ : /trace [0-9a-f]{32}/);
  }
  pty.type('\u0004');
  assert.equal(await pty.end, 0);
  assert.deepEqual(server.requests().map(({ messages }) => messages.map(({ role }) => role).join()), ['system,user', 'system,user,assistant,user', 'system,user']);
});

test('run: Ctrl-C frees the model and ends with exit code 130', { timeout: 30_000 }, async (t) => {
  const server = await slowServer(t, Array.from({ length: 200 }, (_, index) => `w${index} `), 50);
  const child = start(['run', '-m', 'small', 'hello'], { cwd: folder(t, { 'tandem.config.json': team(server.baseUrl) }) });
  child.stdin.end();
  child.stdout.once('data', () => child.kill('SIGINT'));
  const { code, stdout, stderr } = await ended(child);
  assert.equal(code, 130);
  assert.match(stdout, /^w0 /);
  assert.equal(stderr, 'Stopped.\n');
  await server.untilLeft(1);
});

test('a reader that goes away ends the command quietly', { skip: process.platform === 'win32' ? 'there are no such pipes' : false }, async (t) => {
  const child = start(['recipes', '-c', 'tandem.config.json'], { cwd: folder(t, { 'tandem.config.json': team('http://127.0.0.1:1/v1') }) });
  child.stdin.end();
  child.stdout.destroy();
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  assert.equal(code, 0);
  assert.equal(stderr, '');
});

test('init asks, explains a wrong answer, and writes what was chosen', { skip, timeout: 60_000 }, async (t) => {
  const cwd = folder(t, { 'tiny.gguf': `GGUF${'x'.repeat(100)}`, 'big.gguf': `GGUF${'x'.repeat(900)}` });
  const pty = new Pty(t, ['init', '--no-probe'], cwd);
  await pty.until(/tiny \(104 B file\)[\s\S]*big \(904 B file\)/);
  await pty.until(/Small model \(near and cheap\) \[\d\]: /);
  pty.type('99\r');
  await pty.until(/Give a number from 1 to \d/);
  pty.type('nowhere.gguf\r');
  await pty.until(/There is no file .*nowhere\.gguf/);
  pty.type('\r');
  await pty.until(/Large model \(knows more\) \[\d\]: /);
  pty.type('https://api.example.org/v1#big-model\r');
  await pty.until(/API key/);
  pty.type('BIG_KEY\r');
  await pty.until(/Wrote tandem\.config\.ts/);
  assert.equal(await pty.end, 0);
  const { loadConfig } = await import('../../src/config-file.ts');
  const { members } = (await loadConfig(cwd)).config;
  assert.equal(members['small']?.engine === 'llama' && members['small'].file, './tiny.gguf');
  assert.equal(members['large']?.engine === 'openai' && members['large'].apiKeyEnv, 'BIG_KEY');
});

test('init: Ctrl-C writes nothing', { skip, timeout: 60_000 }, async (t) => {
  const cwd = folder(t);
  const pty = new Pty(t, ['init', '--no-probe'], cwd);
  await pty.until(/Small model/);
  pty.type('\u0003');
  assert.equal(await pty.end, 130);
  assert.deepEqual(readdirSync(cwd), []);
});
