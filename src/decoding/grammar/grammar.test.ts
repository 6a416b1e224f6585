/** Grammars: which bytes they let through, against regular expressions and by hand; what they refuse; and that no grammar takes much work. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../system/random.ts';
import type { Vocabulary } from '../program.ts';
import { automatonOf } from './automaton.ts';
import { checkGbnf, GrammarConstraint } from './constraint.ts';
import { States } from './states.ts';
import { byteRanges, bytesOf } from './utf8.ts';

const endToken = 256;
const controlToken = 257;
/** Every byte, an end token and a control token. */
const bytes: Vocabulary = { size: 258, isEnd: (token) => token === endToken, bytes: (token) => (token < 256 ? Uint8Array.of(token) : new Uint8Array(0)) };

/** Whether a grammar takes a text: whole, as a beginning, or not. */
function takes(gbnf: string, text: string | readonly number[]): 'whole' | 'beginning' | 'no' {
  const constraint = GrammarConstraint.begin(bytes, gbnf);
  for (const byte of typeof text === 'string' ? Buffer.from(text) : text) {
    if (!constraint.allows(byte)) return 'no';
    constraint.accept(byte);
  }
  return constraint.allows(endToken) ? 'whole' : 'beginning';
}

test('takes exactly what a regular expression takes', () => {
  const cases: readonly [string, RegExp, string][] = [
    ['root ::= "a" | "b"* "c"', /^(a|b*c)$/, 'abc'],
    ['root ::= ("a" | "ab") ("c" | "bcd") "d"*', /^(a|ab)(c|bcd)d*$/, 'abcd'],
    ['root ::= [a-c]{2,3} "x"?', /^[a-c]{2,3}x?$/, 'abx'],
    ['root ::= ("a"? "b"?){2} c{0,2} "a"+\nc ::= "c" | "ca"', /^(a?b?){2}(c|ca){0,2}a+$/, 'abc'],
    ['root ::= [^a] . "é"{1,}', /^[^a].é{1,}$/s, 'abé'],
    ['root ::= (("a"?)*)+ "b"', /^a*b$/, 'ab'],
    ['root ::= x{3} y{2,}\nx ::= [ab]\ny ::= | "b"', /^[ab]{3}b*$/, 'ab'],
    ['root ::= "a"{0} "b"', /^b$/, 'ab'],
  ];
  const { next } = seededRandom(4);
  for (const [gbnf, expression, letters] of cases) {
    for (let n = 0; n < 400; n++) {
      const text = Array.from({ length: Math.floor(next() * 7) }, () => letters[Math.floor(next() * letters.length)]).join('');
      assert.equal(takes(gbnf, text) === 'whole', expression.test(text), `${gbnf} on ${text}`);
    }
  }
});

test('rules that hold themselves, and comments, escapes and spaces', () => {
  const expression = 'root ::= term (("+" | "-") term)* # a sum\nterm ::= "(" root ")" |\n  [0-9]+ | "\\x41" | "\\u00e9" | "\\U0001F600"\n';
  for (const text of ['1', '((1+2)-A)', 'é-😀', '(12)']) assert.equal(takes(expression, text), 'whole', text);
  for (const text of ['((1+2)', '1+', '']) assert.equal(takes(expression, text), 'beginning', text);
  for (const text of [')', '1+)', 'B']) assert.equal(takes(expression, text), 'no', text);
  const balanced = 'root ::= "a" root "b" | "a" root "c" | "d"';
  assert.equal(takes(balanced, `${'a'.repeat(500)}d${'bc'.repeat(250)}`), 'whole');
  assert.equal(takes(balanced, `${'a'.repeat(500)}d${'bc'.repeat(250)}b`), 'no');
});

test('characters are whole characters: nothing that is not UTF-8 passes, wherever a token cuts it', () => {
  for (const gbnf of ['root ::= .', 'root ::= [^a]', 'root ::= [\\x80-\\U0010FFFF]']) {
    for (const text of ['é', '€', '😀', '\u{10ffff}', '\ud7ff', '\ue000']) assert.equal(takes(gbnf, text), 'whole', text);
    for (const broken of [[0xc0], [0xc1], [0xf5], [0xff], [0x80], [0xe0, 0x9f], [0xed, 0xa0], [0xf0, 0x8f], [0xf4, 0x90], [0xe2, 0x28]]) assert.equal(takes(gbnf, broken), 'no', `${gbnf} on ${broken}`);
    assert.equal(takes(gbnf, [0xf0, 0x9f, 0x98]), 'beginning');
  }
  assert.equal(takes('root ::= .', [0]), 'no');
  const { next } = seededRandom(8);
  for (let n = 0; n < 200; n++) {
    const [first, last] = [next(), next()].map((x) => Math.floor(x ** 3 * 0x110000)).sort((a, b) => a - b) as [number, number];
    const sequences = byteRanges([first, last]);
    const holds = (character: number): boolean => sequences.some((ranges) => bytesOf(character).length === ranges.length && bytesOf(character).every((byte, at) => byte >= (ranges[at]?.[0] ?? 1) && byte <= (ranges[at]?.[1] ?? 0)));
    for (const character of [first - 1, first, last, last + 1, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, ...Array.from({ length: 20 }, () => Math.floor(next() * 0x110000))]) {
      if (character < 0 || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff)) continue;
      assert.deepEqual(bytesOf(character), [...Buffer.from(String.fromCodePoint(character))]);
      assert.equal(holds(character), character >= first && character <= last, `${character} in ${first} to ${last}`);
    }
  }
});

test('tokens: end where the grammar may end, never one without text; clones go their own way', () => {
  const constraint = GrammarConstraint.begin(bytes, 'root ::= "ab" .*');
  const law = new Float32Array(258);
  assert.equal(constraint.mask(law), 1);
  assert.deepEqual([law[97], law[98], law[endToken], law[controlToken]], [0, -Infinity, -Infinity, -Infinity]);
  constraint.accept(97);
  const other = constraint.clone();
  constraint.accept(98);
  const keep = new Uint8Array(4);
  assert.equal(constraint.filter(Int32Array.of(97, 0xff, endToken, controlToken), 4, keep), 2);
  assert.deepEqual([...keep], [1, 0, 1, 0]);
  constraint.accept(endToken);
  assert.ok(constraint.allows(98));
  assert.ok(other.allows(98) && !other.allows(97) && !other.allows(endToken));
  assert.throws(() => other.accept(97), { code: 'engine_failed' });
});

test('a rule that begins with itself is refused by its name', () => {
  for (const [gbnf, name] of [['root ::= root "a" | "b"', 'root'], ['root ::= a\na ::= b "x"\nb ::= "y" | a', 'a'], ['root ::= "w" list\nlist ::= empty? list "b" | "a"\nempty ::= "q"', 'list'], ['root ::= x root "b" | "a"\nx ::= "q"?', 'root'], ['root ::= ("z"? root)*', 'root']] as const) {
    assert.throws(() => checkGbnf(gbnf), (error: Error & { code?: string }) => error.code === 'schema_unsupported' && new RegExp(`rule "(${name}|b)" begins with itself`).test(error.message), gbnf);
  }
  for (const good of ['root ::= "a" root | ""', 'root ::= x "b"\nx ::= "a"? y\ny ::= "c" x']) checkGbnf(good);
});

/** Grammars with which a client could stop an engine that follows each reading, or each rule by recursion, on its own. */
const heavy: Readonly<Record<string, string>> = {
  'a chain of rules': `root ::= r0\n${Array.from({ length: 18_000 }, (_, n) => `r${n.toString(36)} ::= r${(n + 1).toString(36)}`).join('\n')}\nr${(18_000).toString(36)} ::= "a"`,
  'a chain with something left to do': `root ::= r0\n${Array.from({ length: 4000 }, (_, n) => `r${n} ::= r${n + 1} "b"`).join('\n')}\nr4000 ::= "a"`,
  'readings that double with each rule': `root ::= r0\n${Array.from({ length: 400 }, (_, n) => `r${n} ::= r${n + 1} "a" | r${n + 1} "b"`).join('\n')}\nr400 ::= "a"`,
  'readings that double with each character': 'root ::= "a" root "b" | "a" root "c" | "a" root "d" | "e"',
  'readings in the middle of a token': 'root ::= ("a" | "a" | "aa" | "aaa")* "b"',
  'repetitions of what may be nothing': 'root ::= ((("a"?){0,20} "b"?)*)*',
  'nested repetitions': 'root ::= (("a"{0,900} "b"{0,900}){0,900}){0,900}',
  'many texts': `root ::= ${Array.from({ length: 5000 }, (_, n) => `"aaaaa ${n}"`).join(' | ')}`,
  'all at once': 'root ::= [a-z] root [b-z] | [a-z ]+ root [c-x] | [a-z] root root | "d"',
};

for (const [name, gbnf] of Object.entries(heavy)) {
  test(`no grammar takes much work: ${name}`, () => {
    const states = new States(automatonOf(gbnf));
    let state = states.first();
    assert.ok(states.work < 60_000, `${states.work} at the beginning`);
    for (let n = 0; n < 100 && state.ats.length > 0; n++) {
      const before = states.work;
      for (let byte = 0; byte < 256; byte++) states.after(state, byte);
      assert.ok(states.work - before < 400_000, `${states.work - before} after ${n}`);
      state = states.after(state, 97);
    }
  });
}

test('too much is refused: at the beginning, or where it comes to it', () => {
  assert.throws(() => checkGbnf(`root ::= ${'"a"? '.repeat(30_000)}`), { code: 'schema_unsupported', param: 'grammar' });
  assert.throws(() => checkGbnf(`root ::= "${'a'.repeat(200_000)}"`), { code: 'schema_unsupported', param: 'grammar' });
  assert.throws(() => checkGbnf(`root ::= "a" # ${'x'.repeat(300_000)}`), { code: 'schema_unsupported', param: 'grammar' });
  const later = GrammarConstraint.begin(bytes, `root ::= "x" rest\nrest ::= ${'"a"? '.repeat(30_000)}`);
  assert.throws(() => later.accept(120), { code: 'schema_unsupported', param: 'grammar' });
});

test('what is inside a text is known after its first character', () => {
  const states = new States(automatonOf('root ::= "\\"" char* "\\""\nchar ::= [^"\\\\\\x00-\\x1F] | "\\\\" ["\\\\nt]'));
  const inside = [...Buffer.from('"ab')].reduce((state, byte) => states.after(state, byte), states.first());
  const work = states.work;
  assert.equal([...Buffer.from('abba')].reduce((state, byte) => states.after(state, byte), inside), inside);
  assert.ok(states.work - work < 64);
});
