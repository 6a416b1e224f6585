/** Rewards from edits and verdicts. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { rewardOfEdit, rewardOfVerdicts } from '../../src/recipes/index.ts';

test('an edit is rewarded by the share of words that were kept', () => {
  assert.equal(rewardOfEdit('a b c d', 'a b c d'), 1);
  assert.equal(rewardOfEdit('a b c d', 'a x c d'), 0.75);
  assert.equal(rewardOfEdit('a b c d', 'b c d'), 0.75);
  assert.equal(rewardOfEdit('a b', 'x y'), 0);
  assert.equal(rewardOfEdit('', ''), 1);
  assert.equal(rewardOfEdit('a', ''), 0);
  assert.ok(rewardOfEdit('w '.repeat(50_000), 'w '.repeat(50_000)) === 1, 'long texts are cut, not refused');
});

test("verdicts of a noisy verifier become Bayes' probability", () => {
  const errors = { yesIfRight: 0.9, yesIfWrong: 0.3 };
  assert.ok(Math.abs(rewardOfVerdicts([true], errors) - 0.75) < 1e-12);
  assert.ok(Math.abs(rewardOfVerdicts([true, false], errors, 0.8) - (0.8 * 0.09) / (0.8 * 0.09 + 0.2 * 0.21)) < 1e-12);
  assert.equal(rewardOfVerdicts([], errors, 0.6), 0.6);
  assert.equal(rewardOfVerdicts([true], { yesIfRight: 0, yesIfWrong: 0 }, 0.6), 0.6);
});
