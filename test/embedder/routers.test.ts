/** Routers on the bundled embedding: they learn, name their embedder in the file, and refuse one that is not here. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import test from 'node:test';
import { embedderNamed, ProjectionEmbedder } from '../../src/assign/routers/embedder.ts';
import { fitEmbedded } from '../../src/assign/routers/embedded.ts';
import { restore } from '../../src/assign/routers/index.ts';
import { estimates, type Lesson } from '../../src/assign/routers/learner.ts';
import { fitSemantic } from '../../src/assign/routers/semantic.ts';
import { bundledTable } from '../../src/embed/bundled.ts';
import { TandemError } from '../../src/errors.ts';
import { seededRandom } from '../../src/system/random.ts';

const skip = existsSync(bundledTable) ? false : 'weights/embedder/table.bin is not there';

/** Two members: one is good at cooking, the other at sums; the words of training and test do not meet. */
const cooking = [['bake the bread', 'fry an egg', 'boil some pasta', 'roast the chicken', 'season the soup', 'chop the onions'], ['grill a steak', 'simmer the sauce', 'whip the cream', 'slice the tomatoes']];
const sums = [['add seven and twelve', 'divide ninety by three', 'multiply six by eight', 'subtract four from twenty', 'what is half of thirty', 'count up to fifteen'], ['the square root of eighty one', 'eleven minus five', 'a quarter of sixteen', 'the product of two and nine']];

function lesson(side: 0 | 1): Lesson {
  const [cooks, adds] = [cooking[side] ?? [], sums[side] ?? []];
  const random = seededRandom(3);
  const prompts = Array.from({ length: side === 0 ? 240 : cooks.length + adds.length }, (_, i) => {
    const list = i % 2 === 0 ? cooks : adds;
    return side === 0 ? `${list[Math.floor(random.next() * list.length)]} ${['please', 'now', 'for me', 'today'][Math.floor(random.next() * 4)]}` : (list[Math.floor(i / 2)] ?? '');
  });
  return { prompts, members: ['cook', 'calculator'], quality: Float64Array.from({ length: 2 * prompts.length }, (_, i) => ((Math.floor(i / 2) + i) % 2 === 0 ? 1 : 0)), seed: 1 };
}

function right({ prompts }: Lesson, found: Float64Array): number {
  return prompts.filter((_, row) => ((found[2 * row] as number) > (found[2 * row + 1] as number)) === (row % 2 === 0)).length / prompts.length;
}

for (const [name, fit] of [['semantic', () => fitSemantic(lesson(0))], ['reward-distilled', () => fitEmbedded('reward-distilled', lesson(0), 12, 'bundled')]] as const) {
  test(`${name} on the bundled table decides on words that it never saw, and a saved one estimates the same`, { skip }, () => {
    const predictor = fit();
    const test_ = lesson(1);
    const found = estimates(predictor, test_.prompts);
    assert.ok(right(test_, found) >= 0.87, `right on ${right(test_, found)}`);
    const saved = predictor.save();
    assert.equal(saved.settings['embedder'], embedderNamed('bundled').id);
    assert.deepEqual(estimates(restore(saved), test_.prompts), found);
  });
}

test('a router gets back the embedder that it was trained with; an older file without a name gets the projection', () => {
  const predictor = fitEmbedded('contrastive', lesson(0), 2, 'projection');
  const saved = predictor.save();
  assert.equal(saved.settings['embedder'], new ProjectionEmbedder().id);
  const found = estimates(predictor, lesson(1).prompts);
  assert.deepEqual(estimates(restore(saved), lesson(1).prompts), found);
  assert.deepEqual(estimates(restore({ ...saved, settings: {} }), lesson(1).prompts), found);
});

test('a router that was trained with another table is refused by name', { skip }, () => {
  const saved = fitEmbedded('contrastive', lesson(0), 1, 'projection').save();
  assert.throws(() => restore({ ...saved, settings: { embedder: 'tandem-embed-0+marks' } }), (error: unknown) => TandemError.is(error) && error.code === 'router_file_invalid' && /tandem-embed-0/.test(error.message));
});
