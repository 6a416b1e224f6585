/** Schemas as grammars: what they allow satisfies the schema (checked with a JSON Schema validator), what they cannot enforce is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv2020 as Ajv } from 'ajv/dist/2020.js';
import { seededRandom } from '../system/random.ts';
import { checkGbnf } from './grammar/constraint.ts';
import { integerRange } from './integer-range.ts';
import { jsonGrammar, schemaGrammar } from './json-schema.ts';
import { GrammarWriter } from '../../test/engine/grammar-writer.ts';

const { next } = seededRandom(12);
const ajv = new Ajv({ strict: false, formats: { date: /^\d{4}-\d\d-\d\d$/, 'date-time': (text: string) => !Number.isNaN(Date.parse(text)), uuid: /^[0-9a-f-]{36}$/i, email: /^[^@]+@[^@]+\.[a-z]+$/, time: true, ipv4: /^(\d{1,3}\.){3}\d{1,3}$/, hostname: true, duration: true } });

const schemas: Readonly<Record<string, Record<string, unknown>>> = {
  object: { type: 'object', properties: { name: { type: 'string', maxLength: 5 }, count: { type: 'integer', minimum: -7, maximum: 123 }, tags: { type: 'array', items: { enum: ['a', 'b', 3, null] }, minItems: 1, maxItems: 3 } }, required: ['name', 'tags'], additionalProperties: false },
  'all optional': { type: 'object', properties: { a: { type: 'boolean' }, b: { type: 'null' }, c: { const: { x: [1, 'q"\n'] } } }, additionalProperties: false },
  numbers: { type: 'array', items: { anyOf: [{ type: 'number', minimum: -1.5, maximum: 3 }, { type: 'number', exclusiveMinimum: 0, maximum: 1 }, { type: 'number', minimum: 0, exclusiveMaximum: 10 }, { type: 'integer', exclusiveMinimum: -3, exclusiveMaximum: 3 }, { type: 'integer', minimum: 95 }, { type: 'integer', maximum: -95 }] }, maxItems: 6 },
  strings: { type: 'object', properties: { d: { type: 'string', format: 'date' }, t: { type: 'string', format: 'date-time' }, u: { type: 'string', format: 'uuid' }, e: { type: 'string', format: 'email' }, i: { type: 'string', format: 'ipv4' }, l: { type: 'string', minLength: 2, maxLength: 4 } }, required: ['d', 't', 'u', 'e', 'i', 'l'] },
  recursive: { $defs: { node: { type: 'object', properties: { value: { type: 'integer', minimum: 0, maximum: 9 }, next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } }, required: ['value', 'next'], additionalProperties: false } }, $ref: '#/$defs/node' },
  map: { type: 'object', additionalProperties: { type: ['integer', 'null'] } },
  tuple: { type: 'array', prefixItems: [{ type: 'integer' }, { type: 'boolean' }], items: false, minItems: 2, maxItems: 2 },
  either: { oneOf: [{ type: 'object', properties: { kind: { const: 'a' }, x: { type: 'integer' } }, required: ['kind', 'x'] }, { type: 'object', properties: { kind: { const: 'b' } }, required: ['kind'] }] },
  nested: { allOf: [{ type: 'object', properties: { list: { type: 'array', items: { type: 'array', items: { type: 'integer', minimum: 1, maximum: 31 }, maxItems: 2 }, maxItems: 2 } }, required: ['list'] }] },
  'values under other keywords': { type: 'array', items: { anyOf: [{ enum: [1, 5, 20, 'x'], minimum: 10 }, { type: 'string', enum: ['a', 'abc', 5], minLength: 2 }, { type: 'number', const: 2 }, { enum: ['a', 'a', 'b'], const: 'b' }] }, maxItems: 4 },
  'types beside alternatives': { $defs: { text: { type: 'string', maxLength: 3 } }, type: 'array', items: { type: ['string', 'integer'], anyOf: [{ type: 'number', minimum: 5 }, { $ref: '#/$defs/text' }, true, { type: 'null' }, { enum: [null, 'a', 7] }, { type: ['boolean', 'integer'] }] }, maxItems: 6 },
  'alternatives told apart': { $defs: { a: { type: 'object', properties: { kind: { const: 'a' } }, required: ['kind'] } }, type: 'array', items: { oneOf: [{ $ref: '#/$defs/a' }, { type: 'object', properties: { kind: { enum: ['b', 'c'] } }, required: ['kind'] }, { type: 'null' }, { const: 1 }, { enum: ['x', 2] }, { type: 'boolean' }] }, maxItems: 4 },
  'open bounds': { type: 'array', items: { anyOf: [{ type: 'number', exclusiveMaximum: -2 }, { type: 'number', exclusiveMinimum: -3, exclusiveMaximum: -1 }, { type: 'number', exclusiveMinimum: 5, exclusiveMaximum: 6 }, { type: 'number', exclusiveMaximum: 100000, minimum: 99999 }, { type: 'number', exclusiveMinimum: 123456, maximum: 123458 }, { type: 'number', exclusiveMinimum: 999, exclusiveMaximum: 1000.5 }] }, maxItems: 8 },
  'paths with escapes': { $defs: { 'a/b c': { type: 'integer', minimum: 1, maximum: 3 } }, type: 'array', items: { anyOf: [{ $ref: '#/$defs/a~1b%20c' }, { $ref: '#/$defs/a~1b c', description: 'beside it' }] }, maxItems: 3 },
  'long text': { type: 'string', maxLength: 2000 },
};

for (const [name, schema] of Object.entries(schemas)) {
  test(`what the grammar allows satisfies the schema: ${name}`, () => {
    const gbnf = schemaGrammar(schema);
    checkGbnf(gbnf);
    const validate = ajv.compile(schema);
    const writer = new GrammarWriter(gbnf, next);
    for (let n = 0; n < 150; n++) {
      const text = writer.write();
      assert.ok(validate(JSON.parse(text)), `${text}: ${JSON.stringify(validate.errors)}`);
    }
  });
}

test('any object', () => {
  checkGbnf(jsonGrammar());
  const writer = new GrammarWriter(jsonGrammar(), next);
  for (let n = 0; n < 200; n++) assert.equal(typeof JSON.parse(writer.write()), 'object');
});

test('integer ranges allow exactly their integers', () => {
  const matches = (least: number, most: number): ((value: string) => boolean) => {
    const pattern = (integerRange(least, most) ?? '(?!)').replace(/"/g, '').replace(/ (?!\|)/g, '').replace(/\s*\|\s*/g, '|');
    const expression = new RegExp(`^(?:${pattern})$`);
    return (value) => expression.test(value);
  };
  for (let n = 0; n < 300; n++) {
    const a = Math.floor((next() - 0.5) * 10 ** (1 + (n % 5)));
    const b = a + Math.floor(next() * 10 ** (n % 5));
    const allowed = matches(a, b);
    for (let k = 0; k < 60; k++) {
      const value = k < 6 ? [a - 1, a, a + 1, b - 1, b, b + 1][k] as number : Math.floor((next() - 0.5) * 4 * (Math.abs(a) + Math.abs(b) + 2));
      assert.equal(allowed(String(value)), value >= a && value <= b, `${value} in ${a}..${b}: ${integerRange(a, b)}`);
    }
    assert.ok(!allowed('-0') && !allowed('007'));
  }
  assert.equal(integerRange(3, 2), undefined);
  assert.ok(matches(95, Infinity)('100000') && matches(95, Infinity)('95') && !matches(95, Infinity)('94'));
});

test('what cannot be enforced is refused by its path', () => {
  const refused: readonly [Record<string, unknown>, string][] = [
    [{ type: 'object', properties: { a: { type: 'string', pattern: '^a$' } } }, 'schema.properties.a.pattern'],
    [{ type: 'array', uniqueItems: true }, 'schema.uniqueItems'],
    [{ not: { type: 'string' } }, 'schema.not'],
    [{ type: 'object', patternProperties: {} }, 'schema.patternProperties'],
    [{ allOf: [{ type: 'string' }, { minLength: 2 }] }, 'schema.allOf'],
    [{ oneOf: [{ type: 'string' }, { type: 'string', maxLength: 3 }] }, 'schema.oneOf'],
    [{ $ref: '#/$defs/none' }, 'schema.$ref'],
    [{ $ref: 'https://example.org/schema' }, 'schema.$ref'],
    [{ type: 'thing' }, 'schema.type'],
    [{ type: 'string', format: 'regex' }, 'schema.format'],
    [{ type: 'string', minLength: 5000 }, 'schema'],
    [{ type: 'object', properties: {}, required: ['a'] }, 'schema.required'],
    [{ enum: [] }, 'schema.enum'],
    [{ enum: 'abc' }, 'schema.enum'],
    [{ enum: [1, 2], minimum: 3 }, 'schema.enum'],
    [{ enum: [1, 2], const: 3 }, 'schema.const'],
    [{ type: 'string', const: 5 }, 'schema.const'],
    [{ const: 'abc', maxLength: 2 }, 'schema.const'],
    [{ enum: [{ a: 1 }], properties: { a: { type: 'string' } } }, 'schema.properties'],
    [{ enum: ['a'], anyOf: [{ type: 'integer' }] }, 'schema.anyOf'],
    [{ $defs: { n: { type: 'integer' } }, type: 'object', properties: { a: { $ref: '#/$defs/n', minimum: 1000 } } }, 'schema.properties.a.minimum'],
    [{ $ref: '#number', $defs: { n: { $anchor: 'number', type: 'integer' } } }, 'schema.$ref'],
    [{ properties: { a: { $ref: '#/%' } } }, 'schema.properties.a.$ref'],
    [{ $ref: 5 }, 'schema.$ref'],
    [{ oneOf: [{ const: 1 }, { type: 'integer' }] }, 'schema.oneOf'],
    [{ oneOf: [{ enum: [1, 2] }, { enum: [2, 3] }] }, 'schema.oneOf'],
    [{ oneOf: [{ type: 'object' }, { $ref: '#/$defs/o' }], $defs: { o: { type: 'object' } } }, 'schema.oneOf'],
    [{ type: 'boolean', anyOf: [{ type: 'integer' }, { type: 'string' }] }, 'schema.type'],
    [{ type: 'string', anyOf: [{ anyOf: [{ type: 'string' }, { type: 'integer' }] }] }, 'schema.type'],
    [{ type: 'object', properties: { a: true }, required: ['toString'] }, 'schema.required'],
    [{ type: 'string', format: 'constructor' }, 'schema.format'],
    [{ type: 'integer', minimum: 3, maximum: 2 }, 'schema'],
  ];
  for (const [schema, param] of refused) assert.throws(() => schemaGrammar(schema), { code: 'schema_unsupported', param }, JSON.stringify(schema));
});

test('grammars with mistakes are refused, good ones pass', () => {
  for (const good of ['root ::= "a" | "b"*', 'root ::= (\n"a"\n| [^x-z\\]] )+ # comment\nother ::= .', 'root ::= item{2,3}\nitem ::= "\\x41" | "\\u00e9"', 'root ::= | "x"', 'root ::= ("a"{0,900} "b"{0,900}){0,900}']) checkGbnf(good);
  for (const bad of ['', 'start ::= "a"', 'root ::= "a', 'root ::= [a', 'root ::= []', 'root ::= (', 'root ::= "a")', 'root ::= x', 'root ::= "a"{3,2}', 'root ::= "a"{9999}', 'root ::= *', 'root ::= ""*', 'root ::= "\\q"', 'root ::= "\\uD83D"', 'root ::= [z-a]', 'root := "a"', 'root ::= "a"\0', 'root ::= "a"{99999999999}', `root ::= ${'('.repeat(300)}"a"${')'.repeat(300)}`, `root ::= ${'"a"{0,2000} '.repeat(40)}`]) {
    assert.throws(() => checkGbnf(bad), { code: 'schema_unsupported' }, bad.slice(0, 40));
  }
});

test('long lists of values and alternatives take no time', () => {
  const many = Array.from({ length: 20_000 }, (_, n) => n);
  const began = performance.now();
  checkGbnf(schemaGrammar({ enum: many.slice(0, 5000).map((n) => `item ${n}`), maxLength: 9 }));
  assert.throws(() => schemaGrammar({ oneOf: [...many.map((n) => ({ const: n })), { type: 'object' }, { type: 'object' }] }), { code: 'schema_unsupported' });
  assert.throws(() => schemaGrammar({ oneOf: many.map(() => ({ type: 'object', properties: { a: { const: 1 } }, required: ['a'] })) }), { code: 'schema_unsupported' });
  schemaGrammar({ type: 'object', properties: Object.fromEntries(many.slice(0, 3000).map((n) => [`p${n}`, { type: 'string', maxLength: n % 50 }])) });
  assert.ok(performance.now() - began < 4000, 'quadratic ways take tens of seconds');
});

test('alternatives that refer to each other many times over take no time', () => {
  const defs = (key: string): Record<string, unknown> => Object.fromEntries(Array.from({ length: 28 }, (_, n) => [`d${n}`, n === 27 ? { type: 'string' } : { [key]: [1, 2, 3].map(() => ({ $ref: `#/$defs/d${n + 1}` })) }]));
  const gbnf = schemaGrammar({ $defs: defs('anyOf'), type: 'string', anyOf: [{ $ref: '#/$defs/d0' }] });
  checkGbnf(gbnf);
  assert.ok(gbnf.length < 4000);
  assert.throws(() => schemaGrammar({ $defs: defs('oneOf'), $ref: '#/$defs/d0' }), { code: 'schema_unsupported' });
  assert.throws(() => checkGbnf(schemaGrammar({ $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } }, $ref: '#/$defs/a' })), { code: 'schema_unsupported' });
});
