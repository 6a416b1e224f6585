/** Cases of the model suite: vectors (Emb). */
import assert from 'node:assert/strict';
import type { Model } from '../../src/models/port.ts';
import { quietCall } from './asking.ts';
import { refuses } from './model-suite.ts';
import type { Suite } from './model-suite.ts';

const needsEmb = (m: Model): string | undefined => (m.abilities.levels.includes('Emb') ? undefined : 'no Emb: gives no vectors');

/** Defines the cases. */
export function embeddingCases({ model, test }: Suite): void {
  const embed = async (texts: readonly string[], dimensions?: number): Promise<readonly Float32Array[]> =>
    (await model().embed!({ texts, ...(dimensions === undefined ? {} : { dimensions }) }, quietCall())).vectors;

  test('gives vectors of unit length, one a text, in order', needsEmb, async () => {
    const [cat, river, again] = await embed(['a cat', 'the river 東京', 'a cat']);
    assert.ok(cat !== undefined && river !== undefined && again !== undefined);
    for (const vector of [cat, river]) assert.ok(Math.abs(Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0)) - 1) < 1e-4);
    assert.ok(cosine(cat, again) > 0.999 && cosine(cat, river) < 0.999);
  });
  test('keeps the first dimensions at unit length', needsEmb, async () => {
    const [short] = await embed(['a cat'], 4);
    assert.equal(short?.length, 4);
    assert.ok(Math.abs(cosine(short, short) - 1) < 1e-4);
  });
  test('refuses more dimensions than its vectors have', needsEmb, async () => {
    await refuses(embed(['a cat'], 60_000), 'parameter_invalid');
  });
  test('gives no vectors for no texts', needsEmb, async () => {
    assert.deepEqual(await embed([]), []);
  });
  test('stops embedding when told to', needsEmb, async () => {
    await refuses(model().embed!({ texts: ['a'] }, quietCall({ signal: AbortSignal.abort() })), 'cancelled');
  });
}

function cosine(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
}
