/** Holds docs/request-lifecycle.md to src/pipeline.ts: the same stages, in the same order, with codes that exist and are thrown there. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { catalogue } from '../../src/errors.ts';
import { order } from '../../src/pipeline.ts';

const page = readFileSync(new URL('../../docs/request-lifecycle.md', import.meta.url), 'utf8');

test('the page draws the stages of the pipeline in their order', () => {
  const drawn = [...page.matchAll(/^\[([a-z-]+)\]/gm)].map((match) => match[1]);
  assert.deepEqual(drawn, [...order]);
});

test('the pipeline runs the stages in the order that it states', () => {
  const source = readFileSync(new URL('../../src/pipeline.ts', import.meta.url), 'utf8');
  const body = source.slice(source.indexOf('export function veil'));
  const calls = ['stages.admit(', 'stages.guardInput(', 'stages.mask(', 'stages.cook(', 'restore(answered)', 'stages.guardOutput('];
  const places = calls.map((call) => body.indexOf(call));
  assert.ok(places.every((place) => place > 0), `each stage is called: ${places.join(', ')}`);
  assert.deepEqual(places, [...places].sort((a, b) => a - b));
});

test('the codes drawn at admission are those that the stage states; overloaded and shutting_down come before it', () => {
  const source = (path: string): string => readFileSync(new URL(`../../src/${path}`, import.meta.url), 'utf8');
  const codesOf = (text: string): string[] => (text.match(/\b[a-z]+(?:_[a-z]+)+\b/g) ?? []).sort();
  const drawnAt = (from: string, to: string): string[] => codesOf(page.slice(page.indexOf(from), page.indexOf(to)));
  const stated = /The admission stage\.\n[ *]*@throws \{TandemError\} ([a-z_,;\s*]+?)\*\//.exec(source('policy/admission.ts'))?.[1] ?? '';
  assert.deepEqual(drawnAt('[admit]', '[guard-input]'), codesOf(stated));
  for (const [code, files] of [['overloaded', ['gateway/http/server.ts', 'recipes/auto.ts']], ['shutting_down', ['gateway/http/server.ts', 'tandem.ts']]] as const) {
    for (const file of files) assert.match(source(file), new RegExp(`'${code}'`), `${file} throws ${code}`);
    assert.match(page.slice(page.indexOf('client\n'), page.indexOf('[admit]')), new RegExp(code), `${code} comes before admission`);
  }
});

test('every error code that the page names is in the catalogue', () => {
  const codes = Object.keys(catalogue);
  const named = [...page.matchAll(/\b([a-z]+_(?:[a-z]+_?)+|[a-z]+_\*)(?=[,\s])/g)].map((match) => match[1] ?? '');
  assert.ok(named.length > 15, 'the page names codes');
  for (const code of named) {
    const known = code.endsWith('*') ? codes.some((entry) => entry.startsWith(code.slice(0, -1))) : codes.includes(code) || codes.some((entry) => entry.startsWith(code));
    assert.ok(known, `${code} is not in the catalogue`);
  }
});
