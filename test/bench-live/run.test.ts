/** Runs over live teams: fake members through the real pipeline, the bundled pair through the command line, kills. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { contendersOf } from '../../src/bench/live/recipes.ts';
import { runLive } from '../../src/bench/live/run.ts';
import type { Cell } from '../../src/bench/live/journal.ts';
import type { LiveReport } from '../../src/bench/live/summary.ts';
import type { LiveTask } from '../../src/bench/live/tasks.ts';
import { TandemError } from '../../src/errors.ts';
import { Team } from '../../src/models/team.ts';
import { createTandem, type Runtime } from '../../src/tandem.ts';
import { progressText } from '../../src/cli/run-progress.ts';
import { call, ended, folder, noBundled, start } from '../cli/tandem.ts';
import { fake, priced, type FakeSettings } from '../recipes/fake-model.ts';
import { virtualClock } from '../recipes/harness.ts';

const tasks: LiveTask[] = Array.from({ length: 20 }, (_, i) => ({ id: `t${i}`, task: 'sum', messages: [{ role: 'user', content: `What is ${i} + 1? Write to ann@example.com` }], expect: String(i + 1), check: 'exact' }));

/** The small member is sure and right on even questions, unsure and wrong on odd ones; the large one is always right. */
async function runtimeOf(large: Partial<FakeSettings> = {}): Promise<Runtime> {
  const clock = virtualClock();
  const asked = (content: string): number => Number(/is (\d+)/.exec(content)?.[1]);
  const team = new Team([
    fake({ id: 'small', answer: ({ prompt }) => ({ text: asked(prompt.messages[0]?.content ?? '') % 2 === 0 ? String(asked(prompt.messages[0]?.content ?? '') + 1) : 'no', probability: asked(prompt.messages[0]?.content ?? '') % 2 === 0 ? 0.95 : 0.2, firstMs: 10 }) }, clock),
    fake({ id: 'large', place: 'cloud', price: priced(100, 200), answer: ({ prompt }) => ({ text: String(asked(prompt.messages[0]?.content ?? '') + 1), firstMs: 100 }), ...large }, clock),
  ]);
  return createTandem({ store: { path: ':memory:' } }, { team, clock });
}

async function cellsOf(runtime: Runtime, names: string, more: Partial<Parameters<typeof runLive>[0]> = {}): Promise<Cell[]> {
  return runLive({ runtime, tasks, contenders: contendersOf(names, runtime), sampling: { tokensMax: 8, temperature: 0 }, seed: 1, concurrency: 1, warmUp: false, done: [], signal: new AbortController().signal, onCell: () => undefined, ...more });
}

const mean = (cells: readonly Cell[], pick: (cell: Cell) => number): number => cells.reduce((sum, cell) => sum + pick(cell), 0) / cells.length;

test('a cell holds what its request really did: quality, dollars, time, calls, bytes and what was masked', async (t) => {
  const runtime = await runtimeOf();
  t.after(() => runtime.close());
  const cells = await cellsOf(runtime, 'small,large,cascade');
  const of = (recipe: string): Cell[] => cells.filter((cell) => cell.recipe === recipe);
  assert.deepEqual(['small', 'large', 'cascade'].map((recipe) => [of(recipe).length, mean(of(recipe), ({ quality }) => quality)]), [[20, 0.5], [20, 1], [20, 1]]);
  assert.deepEqual(['small', 'large', 'cascade'].map((recipe) => mean(of(recipe), ({ largeCalls }) => largeCalls)), [0, 1, 0.5]);
  assert.ok(of('small').every(({ costUsd, cloudBytesUp, hiddenValues, latencyMs }) => costUsd === 0 && cloudBytesUp === 0 && hiddenValues === 0 && latencyMs === 10));
  assert.ok(of('large').every(({ costUsd, cloudBytesUp, hiddenValues, latencyMs, cloudCalls }) => costUsd > 0 && cloudBytesUp === 10 && hiddenValues === 1 && latencyMs === 100 && cloudCalls === 1));
  assert.ok(of('cascade').filter(({ largeCalls }) => largeCalls === 1).every(({ latencyMs, calls }) => latencyMs === 110 && calls === 2));
});

test('failures are cells too, and a recipe that cannot run stops the run before it has begun', async (t) => {
  const runtime = await runtimeOf({ answer: { text: '', fail: { code: 'upstream_failed' } } });
  t.after(() => runtime.close());
  const cells = await cellsOf(runtime, 'large', { warmUp: true });
  assert.deepEqual([...new Set(cells.map(({ error, quality }) => `${error} ${quality}`))].length <= 2, true);
  assert.ok(cells.every(({ error, quality, ended: whole }) => error !== undefined && quality === 0 && !whole));
  await assert.rejects(cellsOf(runtime, 'cascade:test=nonsense', { warmUp: true }), (thrown) => TandemError.is(thrown) && thrown.code === 'recipe_unavailable' && /knob_invalid/.test(thrown.message));
  assert.throws(() => contendersOf('nobody', runtime), /no recipe or member "nobody"/);
  assert.throws(() => contendersOf('small,small', runtime), /one twice/);
  assert.deepEqual(contendersOf('cascade:threshold=0.9;test=margin,small', runtime).map(({ model, knobs }) => [model, knobs]), [['tandem/cascade', { threshold: 0.9, test: 'margin' }], ['tandem/small', {}]]);
  assert.throws(() => contendersOf('cascade:0.9', runtime), /name=value/);
});

test('stopped and taken up: no cell twice, none lost; several at once give the same qualities', async (t) => {
  const runtime = await runtimeOf();
  t.after(() => runtime.close());
  const stop = new AbortController();
  const seen: Cell[] = [];
  await assert.rejects(cellsOf(runtime, 'small,cascade', { signal: stop.signal, onCell: (cell, finished) => (seen.push(cell), finished === 13 && stop.abort()) }), (thrown) => TandemError.is(thrown) && thrown.code === 'cancelled');
  assert.equal(seen.length, 13);
  const all = await cellsOf(runtime, 'small,cascade', { done: seen, concurrency: 4 });
  assert.equal(new Set(all.map(({ task, recipe }) => `${task} ${recipe}`)).size, 40);
  assert.equal(all.length, 40);
  const straight = await cellsOf(runtime, 'small,cascade');
  const qualities = (cells: readonly Cell[]): string[] => cells.map(({ task, recipe, quality }) => `${task} ${recipe} ${quality}`).sort();
  assert.deepEqual(qualities(all), qualities(straight));
});

test('a prompt never meets two recipes in a row, so that none lives off another one\'s prompt cache', async (t) => {
  const runtime = await runtimeOf();
  t.after(() => runtime.close());
  const order = (await cellsOf(runtime, 'small,large,cascade')).map(({ task }) => task);
  for (let i = 0; i < order.length; i++) assert.ok(!order.slice(Math.max(0, i - 15), i).includes(order[i] ?? ''), `${i}`);
});

test('progress tells the time left', () => {
  assert.equal(progressText(40, 120, 20, 10_000), ' 33 %  40 of 120 requests  2.0/s  40 s left');
  assert.equal(progressText(120, 120, 120, 10_000), '100 %  120 of 120 requests  12/s');
});

test('the command on the bundled pair: table, JSON, Markdown, one page; killed, resumed; Ctrl-C ends with 130', { skip: noBundled }, async (t) => {
  const cwd = folder(t);
  const options = ['bench', 'run', '--limit', '24', '--recipes', 'small,large,cascade', '--out', 'run'];
  const child = start(options, { cwd });
  child.stdin.end();
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const cells = join(cwd, 'run', 'cells.jsonl');
      if (!existsSync(cells) || readFileSync(cells, 'utf8').split('\n').length < 10) return;
      clearInterval(timer);
      child.kill('SIGKILL');
      resolve();
    }, 5);
    void ended(child).then(() => (clearInterval(timer), resolve()));
  });
  const left = readFileSync(join(cwd, 'run', 'cells.jsonl'), 'utf8').trimEnd().split('\n').length - 1;
  assert.ok(left >= 5, `${left} cells`);
  const [again, other, resumed] = [await call(options, { cwd }), await call([...options, '--seed', '2', '--resume'], { cwd }), await call([...options, '--resume', '--json'], { cwd })];
  assert.deepEqual([again.code, other.code], [2, 1]);
  assert.match(again.stderr, /--resume/);
  assert.match(other.stderr, /of another run/);
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.match(resumed.stderr, /measured before/);
  const report = JSON.parse(resumed.stdout) as LiveReport;
  assert.deepEqual([report.tasks, report.recipes.map(({ recipe, tasks: n }) => [recipe, n])], [24, [['small', 24], ['large', 24], ['cascade', 24]]]);
  assert.equal(new Set(readFileSync(join(cwd, 'run', 'cells.jsonl'), 'utf8').trimEnd().split('\n').slice(1).map((line) => JSON.parse(line) as Cell).map(({ task, recipe }) => `${task} ${recipe}`)).size, 72);
  for (const name of ['report.html', 'report.md', 'report.json']) assert.ok(existsSync(join(cwd, 'run', name)), name);
  assert.equal(existsSync(join(cwd, '.tandem')), false, 'the store of the team is left alone');

  const interrupted = start(['bench', 'run', '--recipes', 'large', '--out', 'stopped'], { cwd });
  interrupted.stdin.end();
  const timer = setInterval(() => {
    const cells = join(cwd, 'stopped', 'cells.jsonl');
    if (!existsSync(cells) || readFileSync(cells, 'utf8').split('\n').length <= 5) return;
    clearInterval(timer);
    interrupted.kill('SIGINT');
  }, 5);
  const { code, stderr } = await ended(interrupted);
  clearInterval(timer);
  assert.equal(code, 130, stderr);
  assert.match(stderr, /--out stopped --resume/);
});

test('own tasks and a team of recorded members; mistakes of the command line', async (t) => {
  const recording = (right: (i: number) => boolean): string => Array.from({ length: 12 }, (_, i) => JSON.stringify({ prompt: `Capital ${i}?`, answer: right(i) ? `City${i}` : 'unknown' })).join('\n');
  const cwd = folder(t, {
    'small.jsonl': recording((i) => i % 3 === 0),
    'large.jsonl': recording(() => true),
    'tasks.jsonl': Array.from({ length: 12 }, (_, i) => JSON.stringify({ id: i, prompt: `Capital ${i}?`, expect: `city${i}`, check: 'normalised', task: 'capitals' })).join('\n'),
    'team.json': JSON.stringify({ members: { small: { engine: 'recorded', file: 'small.jsonl', place: 'device' }, large: { engine: 'recorded', file: 'large.jsonl', price: { inputUsdPerMillionTokens: 1, outputUsdPerMillionTokens: 2, asOf: '2026-01-01' } } } }),
  });
  mkdirSync(join(cwd, 'x'));
  writeFileSync(join(cwd, 'x', 'bad.jsonl'), '{"id": 1}');
  const { code, stdout, stderr } = await call(['bench', 'run', '--team', 'team.json', '--tasks', 'tasks.jsonl', '--recipes', 'small,large,route', '--out', 'o'], { cwd });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^recipe +quality/);
  assert.match(stdout, /small \* +33\.3 %/);
  assert.match(stdout, /large \* +100\.0 %/);
  const report = JSON.parse(readFileSync(join(cwd, 'o', 'report.json'), 'utf8')) as LiveReport;
  assert.equal(report.frontier.unit, 'usd-per-1000');
  assert.equal(report.recipes[1]?.disclosedShare, 1);
  const codes = await Promise.all([['--resume'], ['--seed', '-1'], ['--temperature', 'hot'], ['--tasks', 'x/bad.jsonl'], ['--recipes', 'cascade'], ['--limit', '0']].map(async (more) => (await call(['bench', 'run', '--team', 'team.json', '--tasks', 'tasks.jsonl', ...more], { cwd })).code));
  assert.deepEqual(codes, [2, 2, 2, 1, 1, 2]);
});
