/** Schemas that ask for too much work hold up nobody but themselves. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { JsonSchema } from '../exchange.ts';
import type { Clock } from '../system/clock.ts';
import { SchemaChecks } from './schema-checks.ts';

/** A clock that the test moves. */
class HandClock implements Clock {
  nowMs = 0;
  wallMs(): number {
    return this.nowMs;
  }
  monotonicMs(): number {
    return this.nowMs;
  }
  sleep(): Promise<void> {
    return Promise.resolve();
  }
}

/** Turns of the event loop while a promise is open. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let [turns, open] = [0, true];
  void work.then(() => (open = false));
  while (open) {
    await new Promise((resolve) => setImmediate(resolve));
    turns++;
  }
  return turns;
}

const limitMs = 300;
const backtracking: JsonSchema = { type: 'string', pattern: '^(a+)+$' };
const never = JSON.stringify(`${'a'.repeat(60)}!`);
/** References that double thirty times: a billion visits of one text. */
const doubling = (how: 'allOf' | 'anyOf', minLength: number): JsonSchema => ({
  $ref: '#/$defs/d30',
  $defs: { d0: { type: ['string', 'number'], minLength }, ...Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`d${n + 1}`, { [how]: [{ $ref: `#/$defs/d${n}` }, { $ref: `#/$defs/d${n}` }] }])) },
});
const city: JsonSchema = { type: 'object', properties: { city: { type: 'string', pattern: '^(?!x)[A-Z]' } }, required: ['city'] };

test('verdicts, with the expressions of ECMA-262', async () => {
  const checks = new SchemaChecks(new HandClock());
  assert.equal(await checks.check(city, '{"city":"Oslo"}'), 'satisfied');
  assert.equal(await checks.check(city, '{"city":"oslo"}'), 'violated');
  assert.equal(await checks.check(city, '{}'), 'violated');
  assert.equal(await checks.check({ type: 'nonsense' }, '{}'), 'satisfied', 'a schema that cannot be compiled proves nothing');
  assert.equal(await checks.check({ $ref: '#' }, '{}'), 'undecided', 'references without end');
  assert.deepEqual(await Promise.all(['"Rome"', '1', '"xy"'].map((name) => checks.check(city, `{"city":${name}}`))), ['satisfied', 'violated', 'violated']);
});

test('plain schemas are checked in place, by the dialect that they name', async () => {
  const checks = new SchemaChecks(new HandClock(), 0); // whatever is asked of the process has no time
  const pair = [{ type: 'string' }, { type: 'number' }];
  const cases: [JsonSchema, string, string][] = [
    [{ type: 'object', properties: { n: { type: 'integer', minimum: 3 } }, required: ['n'] }, '{"n":2}', 'violated'],
    [{ type: 'object', properties: { n: { type: 'integer', minimum: 3 } }, required: ['n'] }, '{"n":3}', 'satisfied'],
    [{ $schema: 'https://json-schema.org/draft/2020-12/schema', prefixItems: pair }, '[1, "a"]', 'violated'],
    [{ $schema: 'https://json-schema.org/draft/2020-12/schema', prefixItems: pair }, '["a", 1]', 'satisfied'],
    [{ $schema: 'http://json-schema.org/draft-07/schema#', items: pair }, '[1, "a"]', 'violated'],
    [{ items: pair }, '["a", 1]', 'satisfied'],
    [{ $schema: 'https://json-schema.org/draft/2019-09/schema', dependentRequired: { a: ['b'] } }, '{"a":1}', 'violated'],
    [{ uniqueItems: true }, '[1, 1]', 'undecided'],
  ];
  for (const [schema, json, verdict] of cases) assert.equal(await checks.check(schema, json), verdict, JSON.stringify(schema));
});

test('a check that takes too long is given up; the event loop turns, and those behind it are answered', async () => {
  const checks = new SchemaChecks(new HandClock(), limitMs);
  for (const [schema, json] of [[backtracking, never], [doubling('allOf', 1), '"a"'], [doubling('anyOf', 9), '"a"']] as const) {
    const hostile = checks.check(schema, json);
    const behind = checks.check(city, '{"city":"Oslo"}');
    assert.ok((await turnsDuring(hostile)) > 10);
    assert.equal(await hostile, 'undecided');
    assert.equal(await behind, 'satisfied');
  }
});

test('waiting for others is part of a check\'s time', async () => {
  const clock = new HandClock();
  const checks = new SchemaChecks(clock, limitMs);
  assert.equal(await checks.check(city, '{}'), 'violated');
  const hostile = Array.from({ length: 5 }, () => checks.check(backtracking, never));
  clock.nowMs += limitMs;
  const later = checks.check(city, '{"city":"Oslo"}');
  const startMs = performance.now();
  assert.deepEqual(await Promise.all(hostile), Array.from({ length: 5 }, () => 'undecided'));
  assert.ok(performance.now() - startMs < 4 * limitMs, 'only the first one was tried');
  assert.equal(await later, 'satisfied');
});

test('a check that takes too much memory ends its process alone', async () => {
  const checks = new SchemaChecks(new HandClock(), 60_000);
  const huge: JsonSchema = { anyOf: Array.from({ length: 60_000 }, (_, n) => ({ properties: { [`p${n}`]: { type: 'object', required: [`q${n}`] } } })) };
  const behind = [checks.check(huge, '{}'), checks.check(city, '{"city":"Oslo"}')];
  assert.deepEqual(await Promise.all(behind), ['undecided', 'satisfied']);
});
