/** `tandem init`: what it finds, what it writes, and that what it writes loads. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { findGguf, findOllama } from '../../src/cli/find-gguf.ts';
import { billionsInName, findServers, servedSettings } from '../../src/cli/find-servers.ts';
import { configText } from '../../src/cli/config-text.ts';
import { loadConfig } from '../../src/config-file.ts';
import { call, folder } from './tandem.ts';

const gguf = (bytes: number): string => `GGUF${'x'.repeat(bytes - 4)}`;
const still = ['--no-probe', '--yes'];

test('init takes the smallest and the largest file, and the configuration loads', async (t) => {
  const cwd = folder(t, { 'middle.gguf': gguf(2000), 'no-model.gguf': 'text', 'big-00002-of-00003.gguf': gguf(9000) });
  mkdirSync(join(cwd, 'models', 'deep'), { recursive: true });
  writeFileSync(join(cwd, 'models', 'tiny.gguf'), gguf(1000));
  writeFileSync(join(cwd, 'models', 'deep', 'big.gguf'), gguf(5000));
  const { code, stdout, stderr } = await call(['init', ...still], { cwd });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /Wrote tandem\.config\.ts: small is tiny .*large is big/);
  const { config, file } = await loadConfig(cwd);
  assert.equal(file, join(cwd, 'tandem.config.ts'));
  assert.deepEqual(Object.entries(config.members).map(([id, member]) => [id, member.engine === 'llama' ? member.file : '', member.roles]), [
    ['small', './models/tiny.gguf', ['small', 'draft']],
    ['large', './models/deep/big.gguf', ['large']],
  ]);
});

test('init never overwrites without --force', async (t) => {
  const cwd = folder(t, { 'tandem.config.ts': 'export default {};' });
  const refused = await call(['init', ...still], { cwd });
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /exists already; --force/);
  assert.equal(readFileSync(join(cwd, 'tandem.config.ts'), 'utf8'), 'export default {};');
  const printed = await call(['init', '--print', ...still], { cwd });
  assert.equal(printed.code, 0);
  assert.match(printed.stdout, /export default defineConfig\(\{/);
  assert.equal(readFileSync(join(cwd, 'tandem.config.ts'), 'utf8'), 'export default {};');
  const forced = await call(['init', '--force', ...still], { cwd });
  assert.equal(forced.code, 0, forced.stderr);
  assert.match(readFileSync(join(cwd, 'tandem.config.ts'), 'utf8'), /defineConfig/);
});

test('init with nothing found writes the bundled pair; with flags, what they name', async (t) => {
  const empty = folder(t);
  assert.equal((await call(['init', ...still], { cwd: empty })).code, 0);
  assert.match(readFileSync(join(empty, 'tandem.config.ts'), 'utf8'), /small: \{ engine: 'llama', file: 'bundled:small', roles: \['small', 'draft'\], embeddings: true, sequencesMax: 2 \}/);
  assert.deepEqual((await loadConfig(empty)).config, (await loadConfig('/')).config, 'it is what runs without a configuration');
  const named = folder(t, { 'a.gguf': gguf(100), 'package.json': '{"type": "commonjs"}' });
  const { code, stderr } = await call(['init', ...still, '--small', 'a.gguf', '--large', 'https://api.example.org/v1#big-model', '--key-env', 'BIG_KEY', '--port', '9000'], { cwd: named });
  assert.equal(code, 0, stderr);
  const { config } = await loadConfig(named);
  assert.equal(config.gateway.port, 9000);
  const large = config.members['large'];
  assert.ok(large?.engine === 'openai');
  assert.deepEqual([large.baseUrl, large.model, large.apiKeyEnv, large.place], ['https://api.example.org/v1', 'big-model', 'BIG_KEY', 'cloud']);
});

test('init takes for this machine only what is its own name or number', async (t) => {
  for (const [host, place] of [['localhost:1234', 'device'], ['127.0.0.2', 'device'], ['[::1]:80', 'device'], ['localhost.example.org', 'cloud'], ['127.0.0.1.example.org', 'cloud'], ['127.example.org', 'cloud'], ['10.0.0.1', 'cloud']] as const) {
    const { code, stdout, stderr } = await call(['init', '--print', ...still, '--small', `http://${host}/v1#m`, '--large', 'bundled:large'], { cwd: folder(t) });
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`small: .*place: '${place}'`, 's'), host);
  }
});

test('init refuses models that are none', async (t) => {
  const cwd = folder(t, { 'text.gguf': 'text' });
  const cases: [string[], number, RegExp][] = [
    [['--small', 'nowhere.gguf'], 1, /model_file_missing/],
    [['--small', 'text.gguf'], 1, /model_file_invalid/],
    [['--large', 'http://127.0.0.1:1/v1'], 2, /<base URL>#<model name>/],
    [['--large', 'http://127.0.0.1@example.org/v1#m'], 2, /without user name/],
    [['--large', 'http://127.0.0.1/v1?key=s#m'], 2, /without user name/],
  ];
  for (const [args, code, expected] of cases) {
    const ended = await call(['init', ...still, ...args], { cwd });
    assert.equal(ended.code, code, ended.stderr);
    assert.match(ended.stderr, expected);
  }
});

test('running servers are found by their models; silent, foreign and slow ones are passed over', async (t) => {
  const serve = async (answer: (path: string) => string | undefined): Promise<number> => {
    const server = createServer((request, response) => {
      const text = answer(request.url ?? '');
      if (text !== undefined) response.setHeader('content-type', 'application/json').end(text);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  };
  const ollama = await serve((path) => (path === '/v1/models' ? JSON.stringify({ data: [{ id: 'qwen3:4b', owned_by: 'library' }, { id: 'gpt-oss:120b-cloud', owned_by: 'library' }, { id: 'nomic-embed-text', owned_by: 'library' }] }) : undefined));
  const vllm = await serve(() => JSON.stringify({ data: [{ id: 'meta/Llama-8B', owned_by: 'vllm' }] }));
  const foreign = await serve(() => '<html>');
  const silent = await serve(() => undefined);
  const found = await findServers([ollama, vllm, foreign, silent, 1].map((port) => ({ name: 'server', port })), 300);
  assert.deepEqual(found.map(({ server, model }) => [server, model]), [['Ollama', 'qwen3:4b'], ['Ollama', 'gpt-oss:120b-cloud'], ['vLLM', 'meta/Llama-8B']]);
  const settings = found.map(servedSettings);
  assert.deepEqual(settings.map((each) => (each.engine === 'openai' ? [each.place, each.logprobs, each.promptLogprobs] : [])), [['device', undefined, undefined], ['cloud', undefined, undefined], ['device', true, 'vllm']]);
});

test('Ollama\'s models are found through its manifests', (t) => {
  const home = folder(t);
  const digest = 'a'.repeat(64);
  const models = join(home, '.ollama', 'models');
  mkdirSync(join(models, 'manifests/registry.ollama.ai/library/tiny'), { recursive: true });
  mkdirSync(join(models, 'blobs'));
  writeFileSync(join(models, 'blobs', `sha256-${digest}`), gguf(64));
  writeFileSync(join(models, 'manifests/registry.ollama.ai/library/tiny/1b'), JSON.stringify({ layers: [{ mediaType: 'application/vnd.ollama.image.model', digest: `sha256:${digest}` }] }));
  writeFileSync(join(models, 'manifests/registry.ollama.ai/library/tiny/odd'), JSON.stringify({ layers: [{ mediaType: 'application/vnd.ollama.image.model', digest: 'sha256:../../x' }] }));
  assert.deepEqual(findOllama({ HOME: home }).map(({ name, bytes }) => [name, bytes]), [['tiny:1b', 64]]);
});

test('the search is bounded in depth', (t) => {
  const top = folder(t);
  mkdirSync(join(top, 'a', 'b'), { recursive: true });
  writeFileSync(join(top, 'a', 'near.gguf'), gguf(10));
  writeFileSync(join(top, 'a', 'b', 'far.gguf'), gguf(10));
  assert.deepEqual(findGguf([{ folder: top, depth: 1 }]).map(({ name }) => name), ['near']);
});

test('sizes in names of models', () => {
  const cases: [string, number | undefined][] = [['qwen2.5:7b', 7], ['smollm2-135m-instruct', 0.135], ['Llama-3.2-1B', 1], ['gemma3:27b-it-q4', 27], ['gpt-4.1', undefined], ['phi4', undefined]];
  for (const [name, billions] of cases) assert.equal(billionsInName(name), billions, name);
});

test('the text of a configuration is TypeScript that means the same', async (t) => {
  const input = { members: { "it's": { engine: 'openai' as const, baseUrl: 'http://127.0.0.1:1/v1', model: 'a\\b\nc', headers: { 'x-odd': "q'" } } }, gateway: { port: 1 } };
  const cwd = folder(t, { 'tandem.config.ts': configText(input as never) });
  const { readConfig } = await import('../../src/config-file.ts');
  assert.deepEqual((await readConfig(cwd)).input, input);
});
