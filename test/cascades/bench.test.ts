/** Cascades on recorded answers of real models, and the command that measures them and writes a file. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { decodePlan } from '../../src/assign/cascade/plan.ts';
import { benchCascade, cascadeMembers, promisedTiers, spending } from '../../src/bench/cascades.ts';
import { readDataset } from '../../src/bench/datasets/index.ts';
import type { Row } from '../../src/bench/rows.ts';
import { seededRandom } from '../../src/system/random.ts';
import { call, folder } from '../cli/tandem.ts';

/** Three members; the score of an answer is a good sign of it. */
function rows(n: number, seed: number): Row[] {
  const random = seededRandom(seed);
  return Array.from({ length: n }, (_, i) => {
    const hard = random.next();
    const right = [0.95 - 0.6 * hard, 0.97 - 0.35 * hard, 0.98 - 0.1 * hard].map((chance) => Number(random.next() < chance));
    const of = (values: readonly number[]): Record<string, number> => Object.fromEntries(['a', 'b', 'c'].map((member, m) => [member, values[m] ?? 0]));
    return { id: `r${i}`, prompt: `question ${i}`, correct: of(right), cost: of([1, 4, 20]), scores: of(right.map((each) => Math.min(1, 0.45 * each + 0.55 * random.next()))), answers: { a: '', b: '', c: '' } };
  });
}

test('cascades beat mixtures of single members at every budget, on rows that they were not learned on', () => {
  const data = rows(1600, 1);
  assert.deepEqual(cascadeMembers(data), ['a', 'b', 'c']);
  const report = benchCascade({ rows: data, members: ['a', 'b', 'c'], shares: [0.2, 0.4, 0.7], tiersMax: 3, folds: 4, seed: 1, resamples: 100 });
  for (const { share, budget, chosen, mixture, gain, chosenLow, chosenHigh } of report.budgets) {
    assert.ok(chosen.quality > mixture && gain.low > 0, `${share}: ${chosen.quality} against ${mixture}`);
    assert.ok(chosen.cost < 1.1 * budget && chosenLow < chosen.quality && chosenHigh > chosen.quality);
  }
  assert.ok((report.atBestQuality?.share ?? 9) <= 0.75);
  assert.throws(() => spending(data, 'latencyMs'), /no "latencyMs"/);
});

test('a promised cascade: the loss stays within the promise in at least 95 of 100 draws, and the promise stands in the file', async (t) => {
  const population = rows(6000, 77);
  const lossOn = (threshold: number): number => population.reduce((sum, { correct, scores }) => sum + ((scores?.['a'] ?? 0) >= threshold ? (correct['c'] ?? 0) - (correct['a'] ?? 0) : 0), 0) / population.length;
  let [kept, share] = [0, 0];
  for (let seed = 0; seed < 100; seed++) {
    const { policy, promise } = promisedTiers(rows(800, seed), 'a', 'c', 0.03, 0);
    const [first] = policy.first;
    if (first?.do === 'ask' && lossOn(first.edges[0] ?? 0) <= 0.03) kept++;
    share += promise.smallShare / 100;
  }
  assert.ok(kept >= 95, `kept in ${kept} of 100`);
  assert.ok(share > 0.3, `${share} of the answers are accepted`);
  const cwd = folder(t, { 'rows.jsonl': rows(400, 2).map((row) => JSON.stringify(row)).join('\n') });
  const { code, stderr } = await call(['bench', 'cascade', '--data', 'rows.jsonl', '--budgets', '0.4', '--folds', '2', '--resamples', '20', '--out', 'p.json', '--promise', '5'], { cwd });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /At most 5\.0 points worse than always c/);
  const { card, arms } = decodePlan(readFileSync(join(cwd, 'p.json'), 'utf8'));
  assert.deepEqual([card.promise?.lossMax, card.promise?.rows, arms.map(({ member }) => member)], [0.05, 400, ['a', 'c']]);
});

test('members that cost nothing: a promise needs no cost, and no budget is measured', async (t) => {
  const free = rows(300, 2).map((row) => ({ ...row, cost: Object.fromEntries(Object.keys(row.cost ?? {}).map((member) => [member, 0])) }));
  const cwd = folder(t, { 'rows.jsonl': free.map((row) => JSON.stringify(row)).join('\n') });
  const base = ['bench', 'cascade', '--data', 'rows.jsonl', '--folds', '2', '--resamples', '20', '--out', 'p.json'];
  const { code, stdout, stderr } = await call([...base, '--promise', '5'], { cwd });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /member alone[\s\S]*--spend latencyMs measures time instead/);
  assert.doesNotMatch(stdout, /NaN|mixture/);
  assert.equal((await call([...base, '--budget', '0.5'], { cwd })).code, 1);
});

test('best-of-n (row 152): from rows of arms to a file that takes the cheapest arm that meets the target, by difficulty', async (t) => {
  const random = seededRandom(3);
  const prompts = ['What is the capital of France?', 'Compute 3 + 4, exactly.', 'Prove that the sum of two even numbers is even and compare two proofs step by step.'];
  const quality = [[0.95, 0.97, 0.98], [0.6, 0.9, 0.95], [0.2, 0.3, 0.9]];
  const data = Array.from({ length: 900 }, (_, i) => ({ id: `n${i}`, prompt: prompts[i % 3], correct: Object.fromEntries(['small', 'small5', 'large'].map((member, m) => [member, Number(random.next() < (quality[i % 3]?.[m] ?? 0))])), cost: { small: 1, small5: 5, large: 20 }, scores: { small: 0.5, small5: 0.5, large: 0.5 } }));
  const cwd = folder(t, { 'rows.jsonl': data.map((row) => JSON.stringify(row)).join('\n') });
  const base = ['bench', 'cascade', '--data', 'rows.jsonl', '--budgets', '0.5', '--folds', '2', '--resamples', '20', '--out', 'n.json', '--target', '0.85'];
  const { code, stderr } = await call([...base, '--arms', 'small5=small*5'], { cwd });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /From easy to hard: small x 1, small x 5, large x 1/);
  const plan = decodePlan(readFileSync(join(cwd, 'n.json'), 'utf8'));
  assert.deepEqual(plan.arms, [{ member: 'small', samples: 1 }, { member: 'small', samples: 5 }, { member: 'large', samples: 1 }]);
  assert.deepEqual([(await call([...base, '--arms', 'small5=small'], { cwd })).code, (await call([...base, '--arms', 'x=small*3'], { cwd })).code], [2, 2]);
});

const shared = fileURLToPath(new URL('../../../shared/data', import.meta.url));

test('recorded answers of four models on GSM8K: at a tenth of the cost of the best one, cascades beat mixtures', { skip: existsSync(join(shared, 'derived-zeroeval-tables')) ? false : '../shared/data is not here' }, () => {
  const members = ['Phi-3.5-mini-instruct', 'gemma-2-9b-it', 'Qwen2-72B-Instruct', 'gpt-4o-2024-08-06'];
  const report = benchCascade({ rows: readDataset('zeroeval-gsm8k', shared), members, shares: [0.1], tiersMax: 2, folds: 2, seed: 1, resamples: 200 });
  for (const { chosen, gain } of report.budgets) assert.ok(gain.low > 0 && chosen.quality > 0.91, `${chosen.quality}, gain ${gain.value} (${gain.low} to ${gain.high})`);
});

test('the command prints what each budget buys and writes a file that can be read again', async (t) => {
  const cwd = folder(t, { 'rows.jsonl': rows(300, 2).map((row) => JSON.stringify(row)).join('\n') });
  const table = await call(['bench', 'cascade', '--data', 'rows.jsonl', '--budgets', '0.2,0.4', '--folds', '3', '--resamples', '20', '--out', 'plan.json', '--budget', '0.4', '--test', 'margin'], { cwd });
  assert.equal(table.code, 0, table.stderr);
  assert.match(table.stdout, /budget +mixture +two tiers/);
  const plan = decodePlan(readFileSync(join(cwd, 'plan.json'), 'utf8'));
  assert.deepEqual([plan.arms.map(({ member }) => member), plan.card.test, plan.card.data.rows], [['a', 'b', 'c'], 'margin', 300]);
  assert.ok((plan.card.heldOut?.quality ?? 0) > 0.5);
  const codes = await Promise.all([['--spend', 'time'], ['--budgets', '0'], ['--out', 'x.json'], ['--members', 'a'], ['--spend', 'latencyMs']].map(async (more) => (await call(['bench', 'cascade', '--data', 'rows.jsonl', ...more], { cwd })).code));
  assert.deepEqual(codes, [2, 2, 2, 1, 1]);
});
