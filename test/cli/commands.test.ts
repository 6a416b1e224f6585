/** The commands at work on the bundled pair. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { request } from 'undici';
import { call, ended, folder, noBundled, start, tandem } from './tandem.ts';

const skip = noBundled;
const question = 'Intent: what is the weather like in lisbon';
const greedy = ['-t', '0', '-n', '24'];

interface Report {
  readonly answer: string;
  readonly recipe: string;
  readonly model: string;
  readonly shares: Readonly<Record<string, number>>;
  readonly segments: readonly { readonly member: string; readonly text: string }[];
  readonly usage: { readonly promptTokens: number; readonly completionTokens: number };
  readonly costUsd: number;
  readonly decisions: readonly unknown[];
  readonly trace: string;
  readonly finish: string;
}

test('run prints the answer alone on a pipe, and everything about it with --json', { skip }, async (t) => {
  const cwd = folder(t);
  const [plain, json, piped] = await Promise.all([
    tandem(['run', '-m', 'small', ...greedy, question], { cwd }),
    call(['run', '-m', 'small', ...greedy, '--json', question], { cwd }),
    call(['run', '-m', 'small', ...greedy, '-v'], { cwd, input: `${question}\n` }),
  ]);
  assert.equal(plain.code, 0, plain.stderr);
  assert.equal(plain.stderr, '');
  const report = JSON.parse(json.stdout) as Report;
  assert.equal(plain.stdout.trimEnd(), report.answer.trimEnd());
  assert.deepEqual(Object.keys(report.shares), ['small']);
  assert.equal(report.segments.map(({ text }) => text).join(''), report.answer);
  assert.equal(report.costUsd, 0);
  assert.ok(report.usage.promptTokens > 0 && report.usage.completionTokens > 0);
  assert.match(report.trace, /^[0-9a-f]{32}$/);
  assert.equal(piped.stdout, plain.stdout);
  assert.match(piped.stderr, /small \d+ tokens · .*\$0 · [\d.]+ s · trace [0-9a-f]{32}/);
});

test('run with a recipe, a knob and a schema', { skip }, async (t) => {
  const cwd = folder(t, { 'schema.json': JSON.stringify({ type: 'object', properties: { yes: { type: 'boolean' } }, required: ['yes'], additionalProperties: false }) });
  const [cascade, schema, unknown, knob] = await Promise.all([
    call(['run', '-r', 'cascade', '-k', 'threshold=1', ...greedy, '--json', question], { cwd }),
    call(['run', '-m', 'large', '-t', '0', '-n', '40', '--schema', 'schema.json', 'yes or no'], { cwd }),
    call(['run', '-r', 'no-such-recipe', question], { cwd }),
    call(['run', '-r', 'cascade', '-k', 'treshold=1', '--json', question], { cwd }),
  ]);
  const report = JSON.parse(cascade.stdout) as Report;
  assert.equal(report.recipe, 'cascade');
  assert.equal(report.model, 'tandem/cascade');
  assert.ok(report.decisions.length > 0);
  assert.equal(schema.code, 0, schema.stderr);
  assert.deepEqual(Object.keys(JSON.parse(schema.stdout) as object), ['yes']);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /\(model_not_found\)/);
  assert.equal(knob.code, 1);
  assert.equal((JSON.parse(knob.stderr) as { error: { code: string } }).error.code, 'knob_invalid');
});

test('trace lists, shows and finds what run left behind', { skip }, async (t) => {
  const cwd = folder(t);
  assert.match((await call(['trace'], { cwd })).stderr, /no traces yet/);
  assert.match((await call(['trace', 'last'], { cwd })).stderr, /trace_not_found/);
  const first = JSON.parse((await call(['run', '-m', 'small', ...greedy, '--json', question], { cwd })).stdout) as Report;
  const second = JSON.parse((await call(['run', '-m', 'large', ...greedy, '--json', question], { cwd })).stdout) as Report;
  const [list, limited, last, byPrefix, json, unknown, bad] = await Promise.all([
    call(['trace'], { cwd }),
    call(['trace', '--limit', '1', '--json'], { cwd }),
    call(['trace', 'last'], { cwd }),
    call(['trace', first.trace.slice(0, 12)], { cwd }),
    call(['trace', first.trace, '--json'], { cwd }),
    call(['trace', 'f'.repeat(32)], { cwd }),
    call(['trace', 'xyz'], { cwd }),
  ]);
  assert.ok(list.stdout.indexOf(second.trace) < list.stdout.indexOf(first.trace), 'newest first');
  assert.deepEqual((JSON.parse(limited.stdout) as { id: string }[]).map(({ id }) => id), [second.trace]);
  assert.ok(last.stdout.includes(second.trace) && last.stdout.includes('large'));
  assert.ok(byPrefix.stdout.includes(first.trace));
  const record = JSON.parse(json.stdout) as { id: string; spans: { name: string }[]; outcome: string };
  assert.equal(record.outcome, 'ok');
  assert.ok(record.spans.some(({ name }) => name === 'admit'));
  assert.ok(!json.stdout.includes('lisbon'), 'no text of the request');
  assert.deepEqual([unknown.code, bad.code], [1, 2]);
});

test('chat over a pipe: marks, commands, memory, trace', { skip }, async (t) => {
  const cwd = folder(t);
  const lines = ['/member small', question, '/recipe cascade threshold=0', question, '/recipe nonsense', '/system Answer briefly.', '/trace', '/unknown', '/clear', '/help', '/quit', 'never answered'];
  const { code, stdout, stderr } = await call(['chat', ...greedy], { cwd, input: `${lines.join('\n')}\n` });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Answering with small alone\.\n\[small\] ?\S/);
  assert.match(stdout, /\ncascade: /);
  assert.match(stdout, /There is no recipe "nonsense"\. This team can run: .*cascade/);
  assert.match(stdout, /The system message is set\./);
  assert.match(stdout, /There is no command \/unknown/);
  assert.match(stdout, /The conversation is forgotten\./);
  assert.match(stdout, /\/quit +leave/);
  assert.match(stdout, /guard-input/, 'the tree of the trace');
  assert.equal((stdout.match(/\[small\]/g) ?? []).length >= 2, true);
});

test('chat over a pipe goes on after an error, and tells it in the exit code', { skip }, async (t) => {
  const cwd = folder(t);
  const { code, stdout, stderr } = await call(['chat', '--model', 'nobody', '--no-marks'], { cwd, input: `${question}\n/member small\n${question}\n` });
  assert.equal(code, 1);
  assert.match(stderr, /model_not_found/);
  assert.match(stdout, /Answering with small alone\.\n[^[]/);
});

test('models tells what the members offer and what the bundled ones are', { skip }, async (t) => {
  const cwd = folder(t);
  const [table, json] = await Promise.all([call(['models'], { cwd }), call(['models', '--json'], { cwd })]);
  assert.match(table.stdout, /^member +roles +engine +place +levels/);
  assert.match(table.stderr, /small and narrow/);
  const { members, recipes } = JSON.parse(json.stdout) as { members: { id: string; levels: string[]; pairedWith: string[]; place: string }[]; recipes: string[] };
  assert.deepEqual(members.map(({ id, place, pairedWith }) => [id, place, pairedWith]), [['small', 'device', ['large']], ['large', 'device', ['small']]]);
  assert.ok(members.every(({ levels }) => ['L0', 'L1', 'L2', 'L3'].every((level) => levels.includes(level))));
  assert.ok(recipes.includes('cascade') && recipes.includes('small'));
});

test('recipes says what this team can run, and why not', { skip }, async (t) => {
  const cwd = folder(t, { 'one.json': JSON.stringify({ members: { large: { engine: 'llama', file: 'bundled:large' } } }), 'broken.json': JSON.stringify({ members: { a: { engine: 'llama', file: 'nowhere.gguf' } } }) });
  const [table, one, json, broken, nobody, coverage] = await Promise.all([
    call(['recipes'], { cwd }),
    call(['recipes', 'tandem/cascade'], { cwd }),
    call(['recipes', '-c', 'one.json', '--json'], { cwd }),
    call(['recipes', '-c', 'broken.json'], { cwd }),
    call(['recipes', 'nobody'], { cwd }),
    call(['recipes', '--coverage', '--json'], { cwd }),
  ]);
  assert.match(table.stdout, /cascade +yes/);
  assert.match(one.stdout, /^tandem\/cascade +this team can run it/);
  assert.match(one.stdout, /threshold +number 0 to 1/);
  const rows = JSON.parse(json.stdout) as { id: string; runs: boolean; unmet: string[] }[];
  const cascade = rows.find(({ id }) => id === 'cascade');
  assert.equal(cascade?.runs, false);
  assert.match(cascade?.unmet.join() ?? '', /role "small"/);
  assert.equal(rows.find(({ id }) => id === 'large')?.runs, true);
  assert.equal(broken.code, 0);
  assert.match(broken.stdout, /cascade +\?/);
  assert.match(broken.stderr, /is not known.*model_file_missing/);
  assert.equal(nobody.code, 1);
  assert.ok((JSON.parse(coverage.stdout) as { rows: unknown[] }).rows.length > 0);
});

test('commands that only look write nothing', { skip }, async (t) => {
  const cwd = folder(t);
  const ended = await Promise.all([call(['recipes'], { cwd }), call(['models'], { cwd })]);
  assert.deepEqual(ended.map(({ code }) => code), [0, 0]);
  assert.deepEqual(readdirSync(cwd), []);
});

test('doctor finds nothing wrong with the bundled pair, and every mistake of a broken set-up', { skip }, async (t) => {
  const occupied = await listening();
  t.after(() => occupied.close());
  const { port } = occupied.address() as AddressInfo;
  const well = folder(t, { 'tandem.config.json': JSON.stringify({ gateway: { port: 0 } }) });
  const ill = folder(t, {
    'tandem.config.json': JSON.stringify({
      gateway: { port, keys: [{ name: 'team', keyEnv: 'NO_SUCH_KEY', costUsdPerDay: 1 }] },
      defaultModel: 'tandem/nothing',
      members: { small: { engine: 'llama', file: 'bundled:small' }, gone: { engine: 'llama', file: 'gone.gguf' }, far: { engine: 'openai', baseUrl: 'http://127.0.0.1:1/v1', model: 'x', apiKeyEnv: 'FAR_KEY', retriesMax: 0 }, dear: { engine: 'openai', baseUrl: 'http://127.0.0.1:1/v1', model: 'x', retriesMax: 0 } },
      store: { path: 'file-not-folder/x.sqlite' },
    }),
    'file-not-folder': '',
  });
  const wrongConfig = folder(t, { 'tandem.config.json': '{"gateway": {"port": -1}, "x": 1}' });
  const [good, bad, config] = await Promise.all([call(['doctor'], { cwd: well }), call(['doctor', '--json', '--timeout', '5'], { cwd: ill }), call(['doctor', '--json'], { cwd: wrongConfig })]);
  assert.equal(good.code, 0, good.stdout);
  assert.match(good.stdout, /Nothing is wrong\./);
  assert.equal(bad.code, 1);
  const { ok, findings } = JSON.parse(bad.stdout) as { ok: boolean; findings: { check: string; state: string; message?: string; code?: string; remedy?: string }[] };
  assert.equal(ok, false);
  const wrong = findings.filter(({ state }) => state === 'wrong');
  for (const [check, code] of [['environment', 'config_invalid'], ['member gone', 'model_file_missing'], ['recipes', 'config_invalid'], ['store', 'store_failed'], ['port', 'address_in_use']]) {
    assert.ok(wrong.some((finding) => finding.check === check && finding.code === code), `${check} ${code} in ${JSON.stringify(wrong)}`);
  }
  assert.ok(wrong.some(({ check }) => check === 'member far'));
  assert.equal(findings.find(({ check }) => check === 'member small')?.state, 'ok');
  const unpriced = findings.find(({ check, state }) => check === 'member dear' && state === 'note');
  assert.match(unpriced?.message ?? '', /price is not known.*gateway\.keys\[0\]\.costUsdPerDay/);
  assert.equal(config.code, 1);
  assert.deepEqual((JSON.parse(config.stdout) as { findings: { mistake?: { path: string } }[] }).findings.flatMap(({ mistake }) => mistake?.path ?? []).sort(), ['gateway.port', 'x']);
});

function listening(): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
  });
}

test('serve says where it listens and what it has, answers, and stops in order', { skip }, async (t) => {
  const cwd = folder(t);
  const child = start(['serve', '--port', '0'], { cwd });
  t.after(() => child.kill('SIGKILL'));
  const end = ended(child);
  const said = await until(child.stdout, /Ctrl-C stops\./, end);
  const base = /listens on (http:\/\/127\.0\.0\.1:\d+\/v1)/.exec(said)?.[1] ?? '';
  assert.match(said, /models +small +device +llama/);
  assert.match(said, /recipes +.*cascade/);
  assert.match(said, /bundled pair/);
  assert.ok(said.includes(`curl ${base}/chat/completions`));
  const models = await request(`${base}/models`);
  assert.equal(models.statusCode, 200);
  await models.body.dump();
  const busy = await call(['serve', '--port', new URL(base).port], { cwd });
  assert.equal(busy.code, 1);
  assert.match(busy.stderr, /Another process listens .*\(address_in_use\)[\s\S]*--port/);
  child.kill('SIGINT');
  const { code, stderr } = await end;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /Stopping/);
});

/** What a stream has said when it matches. */
function until(stream: NodeJS.ReadableStream, pattern: RegExp, end: Promise<{ readonly stderr: string }>): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    stream.on('data', (chunk: string) => {
      text += chunk;
      if (pattern.test(text)) resolve(text);
    });
    void end.then(({ stderr }) => reject(new Error(`it ended: ${stderr}`)));
  });
}

test('serve refuses what cannot work, in words', { skip }, async (t) => {
  const cwd = folder(t);
  mkdirSync(join(cwd, 'models'));
  writeFileSync(join(cwd, 'models', 'cut.gguf'), 'GGUF');
  writeFileSync(join(cwd, 'cut.json'), JSON.stringify({ members: { small: { engine: 'llama', file: 'models/cut.gguf' } } }));
  const [open, cut] = await Promise.all([call(['serve', '--host', '0.0.0.0', '--port', '0'], { cwd }), call(['serve', '-c', 'cut.json', '--port', '0'], { cwd })]);
  assert.equal(open.code, 1);
  assert.match(open.stderr, /gateway\.keys/);
  assert.equal(cut.code, 1);
  assert.match(cut.stderr, /members\.small: .*\(model_file_invalid\)/);
  assert.ok(!existsSync(join(cwd, 'tandem.config.ts')));
});
