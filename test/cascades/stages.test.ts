/** A task in stages under one budget: through a whole runtime from a file, with faults, and the command that measures the ways. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { ask, type FullAnswer } from '../../src/ask.ts';
import { decodeCascadeFile } from '../../src/assign/cascade/files.ts';
import { encodeStages, type Stage, type StagesFile } from '../../src/assign/cascade/stages.ts';
import { TandemError } from '../../src/errors.ts';
import { Team } from '../../src/models/team.ts';
import { createTandem } from '../../src/tandem.ts';
import { call, folder } from '../cli/tandem.ts';
import { fake, priced, type FakeMember, type FakeSettings } from '../recipes/fake-model.ts';
import { virtualClock } from '../recipes/harness.ts';

const way = (member: string, samples: number, quality: number, cost: number): Stage['ways'][number] => ({ member, samples, quality, cost });
const task = (unit: StagesFile['unit'] = 'usd'): StagesFile => ({
  kind: 'tandem-stages', version: 1, date: '2026-11-21', unit,
  stages: [
    { name: 'facts', instruction: 'List the facts.', rows: 200, ways: [way('small', 1, 0.6, 0.001), way('large', 1, 0.9, 0.01)] },
    { name: 'answer', instruction: 'Answer from the facts.', rows: 200, ways: [way('small', 3, 0.8, 0.003), way('large', 1, 0.95, 0.01)] },
  ],
});

interface Ran {
  readonly answer: FullAnswer;
  readonly members: readonly [FakeMember, FakeMember];
  /** Way chosen for each stage, in order; a stage that was tried again stands twice. */
  readonly ways: readonly string[];
}

interface Order {
  readonly budget?: number;
  readonly file?: StagesFile;
  readonly small?: Partial<FakeSettings>;
  readonly large?: Partial<FakeSettings>;
  readonly asking?: Parameters<typeof ask>[2];
}

/** Asks `tandem/cascade` of a runtime whose configuration names a file of stages. */
async function ran(t: TestContext, { budget, file = task(), small = {}, large = {}, asking = {} }: Order, question = 'How far is it?'): Promise<Ran> {
  const clock = virtualClock();
  const votes = ['Answer: 8', 'Answer: 7', 'Answer: 7'];
  const members = [fake({ id: 'small', price: priced(0, 100), answer: (_, n) => ({ text: votes[n % 3] ?? '' }), ...small }, clock), fake({ id: 'large', place: 'cloud', price: priced(0, 1000), answer: { text: 'from the large one' }, ...large }, clock)] as const;
  const baseDir = folder(t, { 'task.json': encodeStages(file) });
  const runtime = await createTandem({ store: { path: ':memory:' }, cascades: { trip: './task.json' }, recipes: { cascade: { stages: 'trip', ...(budget === undefined ? {} : { budget }) } } }, { team: new Team(members), clock, baseDir, env: {} });
  try {
    const answer = await ask(runtime, question, { model: 'tandem/cascade', sampling: { tokensMax: 50 }, ...asking });
    return { answer, members, ways: answer.decisions.filter(({ name }) => name === 'cascade.stage').map(({ chosen }) => chosen) };
  } finally {
    await runtime.close();
  }
}

test('row 153: the budget is spread over the stages as is best for the whole task, and what a stage saved the next may spend', async (t) => {
  const dear = { answer: { text: Array.from({ length: 10 }, () => 'word').join(' ') } }; // 10 tokens: 0.01 dollars, as measured
  assert.deepEqual((await ran(t, { large: dear })).ways, ['large', 'large'], 'no limit: the best ways');
  assert.deepEqual((await ran(t, { large: dear, budget: 0.013 })).ways, ['large', 'small x 3'], 'better together than small, large');
  assert.deepEqual((await ran(t, { large: dear, budget: 0.012 })).ways, ['small', 'large']);
  assert.deepEqual((await ran(t, { large: dear, budget: 0.005 })).ways, ['small', 'small x 3']);
  assert.deepEqual((await ran(t, { large: dear, budget: 0 })).ways, ['small', 'small x 3'], 'nothing is affordable: the cheapest');
  const { ways, answer } = await ran(t, { budget: 0.013 }); // four tokens, 0.004 dollars: less than measured
  assert.deepEqual(ways, ['large', 'small x 3'], 'large would cost 0.01 of the 0.009 that are left');
  const saving = await ran(t, { budget: 0.0135, large: { answer: { text: 'cheap' } } });
  assert.deepEqual(saving.ways, ['large', 'large'], 'the first stage cost a tenth of its mean');
  const [facts, last] = answer.decisions.filter(({ name }) => name === 'cascade.stage');
  assert.deepEqual([facts?.inputs['stage'], facts?.inputs['expectedQuality'], facts?.inputs['left']], ['facts', 0.9 * 0.8, 0.013]);
  assert.ok(Math.abs(Number(last?.inputs['left']) - 0.009) < 1e-9);
  assert.equal(answer.text, 'Answer: 7', 'most of the three samples say so');
});

test('a stage is told its instruction and what was found before; a cloud member sees both masked', async (t) => {
  const { members: [small, large], answer } = await ran(t, { budget: 0.0121, file: { ...task(), stages: [{ ...(task().stages[0] as Stage), ways: [way('small', 1, 0.9, 0.001)] }, task().stages[1] as Stage] }, small: { answer: { text: 'write to maria.lopez@example.org' } }, asking: { sampling: { tokensMax: 50, format: { type: 'json' } } }, large: { answer: { text: '{"to": 1}' } } }, 'Whom? maria.lopez@example.org');
  assert.equal(small.asked.length, 1);
  assert.match(small.asked[0]?.prompt.messages.at(-1)?.content ?? '', /^Whom\? maria\.lopez@example\.org\n\nList the facts\.$/);
  assert.equal(small.asked[0]?.sampling.format, undefined, 'only the last stage has the form of the answer');
  const told = large.asked[0]?.prompt.messages.at(-1)?.content ?? '';
  assert.match(told, /facts:\nwrite to \S+\n\nAnswer from the facts\.$/);
  assert.doesNotMatch(told, /maria/);
  assert.deepEqual([large.asked[0]?.sampling.format, answer.text], [{ type: 'json' }, '{"to": 1}']);
});

test('stages under faults: another way is planned; a forbidden member is not asked; nothing left is the error; time as the unit', async (t) => {
  const broken = { answer: { fail: { code: 'upstream_failed' as const } } };
  const failing = await ran(t, { large: broken });
  assert.deepEqual([failing.ways, failing.answer.text], [['large', 'small', 'large', 'small x 3'], 'Answer: 7']);
  const own = await ran(t, { asking: { policy: { limits: { places: ['device'] } } } });
  assert.deepEqual([own.ways, own.members[1].asked.length], [['small', 'small x 3'], 0]);
  const code = (order: Order): Promise<string> => ran(t, order).then(() => 'answered', (error: unknown) => TandemError.from(error).code);
  assert.equal(await code({ large: broken, small: broken }), 'upstream_failed');
  assert.equal(await code({ file: { ...task(), stages: [{ ...(task().stages[0] as Stage), ways: [way('nobody', 1, 1, 0)] }] } }), 'recipe_unavailable');
  assert.equal(await code({ file: { ...task(), stages: [task().stages[0] as Stage, task().stages[0] as Stage] } }), 'router_file_invalid');
  const timed: StagesFile = { ...task('ms'), stages: task().stages.map((stage) => ({ ...stage, ways: stage.ways.map((each) => ({ ...each, cost: 1e5 * each.cost })) })) };
  const slow = await ran(t, { file: timed, budget: 2_000, large: { answer: { text: 'late', firstMs: 1_500 } } });
  assert.deepEqual(slow.ways, ['large', 'small x 3'], 'the first stage took 500 milliseconds longer than measured');
});

test('the command measures the ways of one stage after the other into one file', async (t) => {
  const rows = (cost: number): string => Array.from({ length: 40 }, (_, i) => JSON.stringify({ id: `r${i}`, prompt: 'q', correct: { a: Number(i % 2 === 0), a3: Number(i % 4 !== 0), b: 1 }, cost: { a: cost, a3: 3 * cost, b: 20 * cost }, latencyMs: { a: 1, a3: 3, b: 9 } })).join('\n');
  const cwd = folder(t, { 'one.jsonl': rows(0.001), 'two.jsonl': rows(0.002), 'other.json': '{"kind": "tandem-cascade"}' });
  const base = (data: string, stage: string): string[] => ['bench', 'cascade', '--data', data, '--arms', 'a3=a*3', '--out', 'stages.json', '--stage', stage];
  for (const [data, stage] of [['one.jsonl', 'facts: List them.'], ['one.jsonl', 'answer: Answer.'], ['two.jsonl', 'answer: Answer: briefly.']] as const) {
    const { code, stderr } = await call(base(data, stage), { cwd });
    assert.equal(code, 0, stderr);
  }
  const file = decodeCascadeFile(readFileSync(join(cwd, 'stages.json'), 'utf8'));
  assert.ok(file.type === 'stages');
  assert.deepEqual(file.stages.stages.map(({ name, instruction, rows: n }) => [name, instruction, n]), [['facts', 'List them.', 40], ['answer', 'Answer: briefly.', 40]]);
  assert.deepEqual(file.stages.stages[1]?.ways.map(({ member, samples, quality, cost }) => [member, samples, quality, Number(cost.toFixed(6))]), [['a', 1, 0.5, 0.002], ['a', 3, 0.75, 0.006], ['b', 1, 1, 0.04]]);
  assert.equal((await call([...base('one.jsonl', 'new: x'), '--spend', 'latencyMs'], { cwd })).code, 2, 'dollars and milliseconds do not add up');
  assert.equal((await call(base('one.jsonl', 'no instruction'), { cwd })).code, 2);
});
