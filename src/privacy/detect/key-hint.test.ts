/** The hint for keys: the same as its expression, on whatever text. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { seededRandom } from '../../system/random.ts';
import { keyHint, keyHintByPattern } from './key-hint.ts';

const branches = [
  'api key', 'API_KEY', 'apikey', 'Auth', 'AKIA', 'ASIA', 'AIDA', 'AROA', 'AIza', 'AC0123abcd', 'AGE-', 'secret', 'SECRET', 'sk-', 'Sk_', 'SG.', 'SK0123abcd', 'shpat_', 'shpss_', 'token', '_pass', '_KEY', 'passw', 'PASSPH', 'pwd', 'pk_', 'pypi-',
  'kennw', 'key:', 'KEY\t=', 'key-', 'credent', 'Bearer', 'rk_', 'r8_', 'whsec_', 'ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_', 'github_pat', 'glpat-', 'glagent-', 'gsk_', 'ya29', 'GOCSPX', 'xox', 'xapp', 'xai-', 'hf_', 'npm_', 'nvapi', 'ntn_', 'lin_api', 'dop_v1', 'eyJ', '-----BEGIN', '://u:', '://:',
];

test('every branch is seen, at the beginning, in the middle and at the end', () => {
  for (const branch of branches) {
    assert.ok(keyHintByPattern(branch), branch);
    for (const text of [branch, `${branch} after`, `before ${branch}`, `ä€😀${branch}😀`, branch.slice(0, 2) + branch]) assert.ok(keyHint.test(text), text);
  }
});

test('it tells what its expression tells, on 40,000 random texts made of pieces of keys', () => {
  const random = seededRandom(7);
  const upTo = (n: number): number => Math.floor(random.next() * n);
  let hits = 0;
  for (let round = 0; round < 40_000; round++) {
    let text = '';
    for (let piece = upTo(4); piece >= 0; piece--) {
      const branch = branches[upTo(branches.length)] ?? '';
      const from = upTo(branch.length);
      const cut = branch.slice(from, from + 1 + upTo(branch.length - from));
      text += [cut, branch.slice(0, upTo(branch.length)), cut.toUpperCase(), 'a b', ' the ', 'ü', '-', '\u0000', branch][upTo(9)] ?? '';
    }
    const expected = keyHintByPattern(text);
    if (expected) hits++;
    assert.equal(keyHint.test(text), expected, JSON.stringify(text));
  }
  assert.ok(hits > 4_000 && hits < 36_000, `${hits} of the texts hold a hint`);
});
