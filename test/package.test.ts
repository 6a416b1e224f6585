/** The package as a user gets it: packed, installed into an empty folder, run with npx, asked over HTTP, stopped. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, posix } from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { noBundled } from './cli/tandem.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'tandem-package-'));
const project = join(work, 'project');

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The tests' own Node comes first in the path, as `npm test` has it. */
const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`, NODE_OPTIONS: '', npm_config_cache: process.env['npm_config_cache'] };

function run(file: string, args: readonly string[], cwd: string, timeoutMs = 240_000): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(file, args, { cwd, env, timeout: timeoutMs, maxBuffer: 1e8 }, (error, stdout, stderr) => resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, stdout, stderr }));
  });
}

let unreachable: string | undefined;
let packed: { readonly filename: string; readonly size: number; readonly files: readonly { readonly path: string; readonly size: number }[] } | undefined;

before(async () => {
  mkdirSync(project);
  const pack = await run('npm', ['pack', '--json', '--pack-destination', work], root);
  assert.equal(pack.code, 0, `${pack.stdout}\n${pack.stderr}`);
  packed = (JSON.parse(pack.stdout.slice(pack.stdout.indexOf('[\n'))) as NonNullable<typeof packed>[])[0];
  writeFileSync(join(project, 'package.json'), '{"name": "empty", "version": "1.0.0"}');
  const install = await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', join(work, packed?.filename ?? '')], project);
  if (install.code !== 0 && /ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ENOTCACHED|ECONNRESET/.test(install.stderr)) unreachable = 'the npm registry cannot be reached and its packages are not cached';
  else assert.equal(install.code, 0, install.stderr);
});
after(() => rmSync(work, { recursive: true, force: true }));

test('the package holds what runs and nothing else, under 45 MB', () => {
  const paths = packed?.files.map(({ path }) => path) ?? [];
  for (const needed of ['package.json', 'README.md', 'dist/index.js', 'dist/index.d.ts', 'bin/tandem.js', 'dist/cli/main.js', 'dist/store/sqlite-worker.js', 'trainer/job.schema.json', 'trainer/requirements.txt', 'trainer/tandem_trainer/train.py']) assert.ok(paths.includes(needed), needed);
  if (noBundled === false) for (const needed of ['weights/small/model.gguf', 'weights/large/model.gguf']) assert.ok(paths.includes(needed), needed);
  assert.deepEqual(paths.filter((path) => !/^(bin|dist|docs|examples|weights|trainer)\/|^(package\.json|README\.md|ARCHITECTURE\.md|LICENSE|CHANGELOG\.md)$/.test(path)), []);
  assert.deepEqual(paths.filter((path) => /\.test\.|\.map$|\.ts$/.test(path) && !/\.d\.ts$|^examples\//.test(path)), []);
  assert.ok((packed?.size ?? Infinity) < 45e6, `${packed?.size} bytes`);
});

test('texts and weights of others are in it with their licences, attributions and notices', () => {
  const paths = packed?.files.map(({ path }) => path) ?? [];
  for (const needed of ['weights/evaluation/heldout.jsonl', 'weights/NOTICE.md']) assert.ok(paths.includes(needed), needed);
  assert.match(readFileSync(join(root, 'weights/README.md'), 'utf8'), /\]\(NOTICE\.md\)/);
  const notice = readFileSync(join(root, 'weights/NOTICE.md'), 'utf8');
  const works: [string, string, string][] = [['CLINC150', 'CC-BY-3.0', 'Stefan Larson'], ['SNIPS', 'CC0-1.0', 'Alice Coucke'], ['TinyStories', 'CDLA-Sharing-1.0', 'Ronen Eldan'], ['GSM8K', 'MIT', 'Karl Cobbe'], ['TruthfulQA', 'Apache-2.0', 'Stephanie Lin']];
  for (const [work, licence, author] of works) {
    const line = notice.split('\n').find((each) => each.startsWith(`- **${work}**`)) ?? '';
    assert.ok(line.includes(` ${licence}.`) && line.includes(author) && line.includes('https://'), work);
  }
  // WordNet's licence asks for its notice, disclaimer included, on all copies.
  for (const sentence of ['WordNet 3.1 Copyright 2011 by Princeton University.  All rights reserved.', 'THIS SOFTWARE AND DATABASE IS PROVIDED "AS IS"', 'Princeton University and LICENSEE agrees to preserve same.']) assert.ok(notice.includes(sentence), sentence);
});

test('what its documents link to is in it', () => {
  const paths = packed?.files.map(({ path }) => path) ?? [];
  const broken = paths.filter((path) => path.endsWith('.md')).flatMap((path) =>
    [...readFileSync(join(root, path), 'utf8').matchAll(/\]\((?![a-z]+:|#)([^)#\s]+)/g)]
      .map(([, link = '']) => posix.join(posix.dirname(path), link))
      .filter((target) => !paths.some((each) => each === target || each.startsWith(`${target.replace(/\/$/, '')}/`)))
      .map((target) => `${path} links ${target}`),
  );
  assert.deepEqual(broken, []);
});

test('in the repository npx tandem runs the sources, and a Node that is too old is told what to do', async () => {
  const version = await run('npx', ['--no-install', 'tandem', '--version'], root);
  assert.equal(version.code, 0, version.stderr);
  assert.match(version.stdout, /^\d+\.\d+\.\d+/);
  const aged = 'data:text/javascript,Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.1.0" } })';
  const old = await run(process.execPath, ['--import', aged, join(root, 'bin/tandem.js'), '--version'], root);
  assert.equal(old.code, 1);
  assert.match(old.stderr, /needs Node 22\.18 or newer; this is 20\.1\.0\.\n.*npm ci/);
});

test('its names can be imported, with types beside them', async (t) => {
  if (unreachable !== undefined) return t.skip(unreachable);
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, unknown> };
  const names = Object.keys(exports).map((name) => `tandem${name.slice(1)}`);
  const script = names.map((name) => `if (Object.keys(await import(${JSON.stringify(name)})).length === 0) console.log('empty: ${name}');`).join('\n');
  const { code, stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', script], project);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, '');
});

test('npx tandem answers in an empty folder', async (t) => {
  if (unreachable !== undefined) return t.skip(unreachable);
  const version = await run('npx', ['--no-install', 'tandem', '--version'], project);
  assert.equal(version.code, 0, version.stderr);
  assert.match(version.stdout, /^\d+\.\d+\.\d+/);
  const coverage = await run('npx', ['--no-install', 'tandem', 'recipes', '--coverage'], project);
  assert.match(coverage.stderr, /^\d+ of \d+ rows are claimed by a recipe\. .*repository/);
  assert.doesNotMatch(coverage.stdout, /no test/);
  if (noBundled !== false) return t.skip(noBundled);
  const answer = await run('npx', ['--no-install', 'tandem', 'run', '-m', 'small', '-t', '0', '-n', '16', '--json', 'Intent: what is the weather like in lisbon'], project);
  assert.equal(answer.code, 0, answer.stderr);
  const { shares, usage } = JSON.parse(answer.stdout) as { shares: Record<string, number>; usage: { completionTokens: number } };
  assert.deepEqual(Object.keys(shares), ['small']);
  assert.ok(usage.completionTokens > 0);
});

test('a configuration in TypeScript that imports tandem/config works where the package is installed', async (t) => {
  if (unreachable !== undefined) return t.skip(unreachable);
  if (noBundled !== false) return t.skip(noBundled);
  const own = join(project, 'own');
  mkdirSync(own);
  const init = await run('npx', ['--no-install', 'tandem', 'init', '--yes', '--no-probe', '--no-search', '--port', '0'], own);
  assert.equal(init.code, 0, init.stderr);
  assert.deepEqual(readdirSync(own), ['tandem.config.ts']);
  const models = await run('npx', ['--no-install', 'tandem', 'models', '--json'], own);
  assert.equal(models.code, 0, models.stderr);
  const { config, members } = JSON.parse(models.stdout) as { config: string; members: { id: string }[] };
  assert.match(config, /own\/tandem\.config\.ts$/);
  assert.deepEqual(members.map(({ id }) => id), ['small', 'large']);
});

test('npx tandem serve answers a request and stops on SIGTERM', async (t) => {
  if (unreachable !== undefined) return t.skip(unreachable);
  if (noBundled !== false) return t.skip(noBundled);
  const child = spawn(process.execPath, [join(project, 'node_modules/tandem/bin/tandem.js'), 'serve', '--port', '0', '--json'], { cwd: project, env });
  t.after(() => child.kill('SIGKILL'));
  let stdout = '';
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      const match = /"url": "([^"]+)"/.exec(stdout);
      if (match !== null) resolve(match[1] ?? '');
    });
    void ended.then(() => reject(new Error(`it ended: ${stderr}`)));
  });
  const { statusCode, headers, body } = await request(`${url}/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'tandem/auto', max_tokens: 16, messages: [{ role: 'user', content: 'Intent: what is the weather like in lisbon' }] }) });
  const text = await body.text();
  assert.equal(statusCode, 200, text);
  assert.match(String(headers['x-tandem-trace']), /^[0-9a-f]{32}$/);
  child.kill('SIGTERM');
  assert.equal(await ended, 0, stderr);
  assert.ok(statSync(join(project, '.tandem')).isDirectory(), 'the store was written beside the configuration');
});
