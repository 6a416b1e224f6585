/** The checks of answers, the reading and drawing of tasks, the journal, the summary. */
import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { qualityOfAnswer, type CheckName } from '../../src/bench/live/checks.ts';
import { Journal, type Cell, type RunHeader } from '../../src/bench/live/journal.ts';
import { htmlOf, markdownOf, notesOf, tableOf } from '../../src/bench/live/report.ts';
import { summarise } from '../../src/bench/live/summary.ts';
import { bundledTasks, drawTasks, readTasks, tasksDigest, type LiveTask } from '../../src/bench/live/tasks.ts';
import { TandemError } from '../../src/errors.ts';

const judge = (check: CheckName, answer: string, expect: string | readonly string[], tolerance?: number): number => qualityOfAnswer(answer, { check, expect, tolerance });

test('exact, answer and json judge as the trainer does', () => {
  // the cases of trainer/tandem_trainer/data/example.py: strip, the text after the last mark, the same object
  assert.deepEqual(['greeting', ' greeting\n', 'Greeting', 'greeting.', ''].map((each) => judge('exact', each, 'greeting')), [1, 1, 0, 0, 0]);
  const expected = '11 * 5 = 55\nAnswer: 55';
  assert.deepEqual(['Answer: 55', 'wrong way\nAnswer: 55 ', 'Answer: 54\nAnswer: 55', '55', 'Answer: 5', 'Answer: 55\nAnswer: 5'].map((each) => judge('answer', each, expected)), [1, 1, 1, 0, 0, 0]);
  const slots = '{"intent": "A", "x": "b"}';
  assert.deepEqual(['{"x":"b","intent":"A"}', '{"x":"c","intent":"A"}', '{"intent":"A"}', 'no json', ''].map((each) => judge('json', each, slots)), [1, 0, 0, 0, 0]);
});

test('the checks of user tasks: text evened out, numbers, slots, texts that occur, choices, several right answers', () => {
  assert.deepEqual(['The answer is Paris.', 'paris', 'Lyon'].map((each) => judge('normalised', each, 'Paris')), [1, 1, 0]);
  assert.deepEqual(['so it is 1,250.0', 'Answer: 1250', '1251', 'none'].map((each) => judge('number', each, '1250')), [1, 1, 0, 0]);
  assert.equal(judge('number', '3.15', '3.14', 0.01), 1);
  assert.equal(judge('number', '3.15', '3.14', 0.001), 0);
  assert.ok(Math.abs(judge('slots', '{"a":1,"b":2}', '{"a":1,"c":3}') - 0.5) < 1e-12);
  assert.deepEqual(['{"a":1}', '{}', '[1]', 'x'].map((each) => judge('slots', each, '{"a":1}')), [1, 0, 0, 0]);
  assert.deepEqual(['Lisbon and Porto', 'lisbon'].map((each) => judge('contains', each, ['lisbon', 'porto'])), [1, 0]);
  assert.deepEqual(['B', '(B) because', 'I think the answer is B.', 'A or B', 'none'].map((each) => judge('choice', each, 'B')), [1, 1, 1, 0, 0]);
  assert.equal(judge('exact', 'two', ['one', 'two']), 1);
});

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'tandem-live-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test('tasks of a user: every mistake names line and field', (t) => {
  const file = join(folder(t), 'tasks.jsonl');
  const refused = (text: string, pattern: RegExp): void => {
    writeFileSync(file, text);
    assert.throws(() => readTasks(file), (thrown) => TandemError.is(thrown) && thrown.code === 'bench_data_invalid' && pattern.test(thrown.message), text);
  };
  writeFileSync(file, '{"id": 1, "prompt": "2+2?", "expect": 4, "check": "number"}\n\n{"id": "b", "messages": [{"role": "user", "content": "hi"}], "expect": ["a", "b"], "check": "exact", "task": "greet"}\n{"id": "c", "check": "none"}\n');
  assert.deepEqual(readTasks(file).map(({ id, task, expect, messages }) => [id, task, expect, messages.length]), [['1', 'task', '4', 1], ['b', 'greet', ['a', 'b'], 1]]);
  refused('no json', /Line 1 is not JSON/);
  refused('{"id": 1, "prompt": "x", "expect": "y", "check": "guess"}', /Line 1, field check/);
  refused('{"id": 1, "expect": "y", "check": "exact"}', /neither "prompt" nor "messages"/);
  refused('{"id": 1, "prompt": "a", "expect": "y", "check": "exact"}\n{"id": 1, "prompt": "b", "expect": "y", "check": "exact"}', /same "id"/);
  refused('\n', /no tasks/);
});

const made = (n: number): LiveTask[] => Array.from({ length: n }, (_, i) => ({ id: `t${i}`, task: i % 4 === 0 ? 'rare' : 'common', messages: [{ role: 'user', content: String(i) }], expect: 'x', check: 'exact' }));

test('a draw keeps the shares of the kinds, is the same for a seed, and a smaller one is part of a larger one', () => {
  const tasks = made(80);
  const twenty = drawTasks(tasks, 20, 1);
  assert.equal(twenty.length, 20);
  assert.equal(twenty.filter(({ task }) => task === 'rare').length, 5);
  assert.deepEqual(twenty, drawTasks([...tasks].reverse(), 20, 1), 'whatever the order of the file');
  assert.notDeepEqual(twenty, drawTasks(tasks, 20, 2));
  const forty = new Set(drawTasks(tasks, 40, 1).map(({ id }) => id));
  assert.ok(twenty.every(({ id }) => forty.has(id)));
  assert.notEqual(tasksDigest(twenty), tasksDigest(twenty.slice(1)));
});

test('the bundled tasks are there, checked by exact, answer and json', { skip: existsSync(bundledTasks) ? false : 'the bundled tasks are not here' }, () => {
  const tasks = readTasks('bundled');
  assert.ok(tasks.length > 700);
  assert.deepEqual([...new Set(tasks.map(({ check }) => check))].sort(), ['answer', 'exact', 'json']);
  for (const task of tasks) assert.equal(qualityOfAnswer(String(task.expect), task), 1, `${task.id}: the expected answer is right`);
});

const header = (recipes: readonly string[]): RunHeader => ({
  kind: 'tandem-bench-run', version: 1, tasks: { source: 'made', count: 40, sha256: 'x' }, recipes,
  team: { members: [{ id: 'small', roles: ['small'], place: 'device', engine: 'fake' }, { id: 'large', roles: ['large'], place: 'cloud', engine: 'fake' }], sha256: 'y' },
  sampling: { tokensMax: 10, temperature: 0 }, seed: 1, concurrency: 1, warmUp: true, keep: null,
});

const cell = (task: string, recipe: string, more: Partial<Cell> = {}): Cell => ({
  task, recipe, quality: 1, ended: true, costUsd: 0, priceKnown: true, latencyMs: 10, firstPartMs: 5, energyJ: 1, energySource: 'estimated', calls: 1, largeCalls: 0, cloudCalls: 0, tokens: 4, largeTokens: 0, promptTokens: 9, cloudBytesUp: 0, hiddenValues: 0, ...more,
});

test('the journal: one line a cell, taken up after a kill with its torn line removed, refused for another run', (t) => {
  const path = join(folder(t), 'run', 'cells.jsonl');
  const journal = Journal.open(path, header(['small']), false);
  journal.add(cell('t1', 'small'));
  journal.add(cell('t2', 'small', { error: 'upstream_failed', ended: false, quality: 0 }));
  appendFileSync(path, '{"task": "t3", "recipe": "sm'); // killed while writing
  const again = Journal.open(path, header(['small']), true);
  assert.deepEqual(again.done.map(({ task, error }) => [task, error]), [['t1', undefined], ['t2', 'upstream_failed']]);
  again.add(cell('t3', 'small'));
  assert.equal(readFileSync(path, 'utf8').trim().split('\n').length, 4);
  assert.equal(Journal.open(path, header(['small']), true).done.length, 3);
  const code = (act: () => unknown): string => {
    try {
      act();
    } catch (thrown) {
      return `${TandemError.from(thrown).code}: ${TandemError.from(thrown).message}`;
    }
    return 'nothing';
  };
  assert.match(code(() => Journal.open(path, header(['small']), false)), /^usage: .*--resume/);
  assert.match(code(() => Journal.open(path, header(['small', 'large']), true)), /^bench_data_invalid: .*recipes differ/);
  assert.match(code(() => Journal.open(path, { ...header(['small']), seed: 2 }, true)), /seed differs/);
  writeFileSync(path, `${readFileSync(path, 'utf8')}{"task": 1}\n`);
  assert.match(code(() => Journal.open(path, header(['small']), true)), /Line 5 .* damaged/);
});

test('the summary: means on the tasks that all share, paired differences, shares, frontier, no markup from names', () => {
  const tasks = made(40);
  const cells = tasks.flatMap(({ id }, i) => [
    cell(id, 'small', { quality: i % 2, latencyMs: 10 + i }),
    cell(id, 'large', { quality: 1, costUsd: 0.002, latencyMs: 100, largeCalls: 1, cloudCalls: 1, largeTokens: 4, cloudBytesUp: 300, hiddenValues: i === 0 ? 2 : 0 }),
    cell(id, 'a<b>', { quality: i % 4 === 0 ? 0 : 1, costUsd: i % 2 === 0 ? 0.002 : 0, calls: 2, largeCalls: i % 2 === 0 ? 1 : 0, largeTokens: i % 2 === 0 ? 2 : 0, ...(i === 3 ? { error: 'upstream_timeout', ended: false, quality: 0 } : {}) }),
  ]);
  cells.push(cell('gone', 'small'));
  const report = summarise(header(['small', 'large', 'a<b>']), tasks, cells, { finishedAt: '2026-01-01', machine: 'm' }, 200);
  assert.deepEqual([report.tasks, report.reference], [40, 'large']);
  const [small, large, mixed] = report.recipes;
  assert.equal(small?.quality.value, 0.5);
  assert.ok((small?.quality.low ?? 1) < 0.5 && (small?.quality.high ?? 0) > 0.5 && (small?.quality.low ?? 0) > 0.25);
  assert.deepEqual([large?.qualityDifference, small?.qualityDifference?.value], [null, -0.5]);
  assert.ok(Math.abs((large?.costUsdPer1000.value ?? 0) - 2) < 1e-9 && Math.abs((large?.costUsdPer1000.high ?? 0) - 2) < 1e-9);
  assert.deepEqual([large?.disclosedShare, large?.hiddenValues, large?.cloudBytes.value], [1, 2, 300]);
  assert.deepEqual([mixed?.largeShare?.value, mixed?.largeTokenShare, mixed?.failed, mixed?.errors], [0.5, 0.25, 1, { upstream_timeout: 1 }]);
  assert.ok(Math.abs((small?.latencyP50Ms.value ?? 0) - 29.5) < 1e-9 && (small?.latencyP99Ms ?? 0) > 48);
  assert.equal(report.frontier.unit, 'usd-per-1000');
  assert.deepEqual(report.frontier.points.filter(({ best }) => best).map(({ recipe }) => recipe), ['small', 'large'], 'the mixture of both is better than the third');
  assert.equal(small?.byTask['rare'], 0);
  const html = htmlOf(report);
  assert.ok(!html.includes('<b>') && html.includes('a&#60;b&#62;') && html.includes('<svg'));
  assert.ok(!/<script|https?:\/\/(?!www\.w3\.org)/.test(html), 'needs nothing from outside');
  assert.equal(tableOf(report).rows.length, 3);
  assert.ok(markdownOf(report).includes('| kind | tasks |'));
  assert.ok(notesOf(report).some((note) => note.includes('upstream_timeout 1')));
});
