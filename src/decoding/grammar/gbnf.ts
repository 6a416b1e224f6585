/**
 * Reads a grammar in GBNF into its rules. A mistake is refused by its line; so is what would come to more than the engine takes.
 *
 * GBNF: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md, without its token references.
 */
import { fail } from '../../errors.ts';

/** Code points from the first to the last, both included. */
export type Range = readonly [number, number];

/** What a rule, or a part of one, may come to. */
export type Expression =
  | { readonly type: 'text'; readonly characters: readonly number[] }
  | { readonly type: 'set'; readonly ranges: readonly Range[] }
  | { readonly type: 'rule'; readonly name: string }
  | { readonly type: 'either'; readonly alternatives: readonly (readonly Expression[])[] }
  | { readonly type: 'repeated'; readonly item: Expression; readonly least: number; /** Infinity where there is no bound. */ readonly most: number };

/** Characters of a grammar at most. */
const lengthMax = 256 * 1024;
/** Repetitions of one item at most. */
const repetitionsMax = 2000;
/** Groups in groups at most. */
const depthMax = 200;
const lastCharacter = 0x10ffff;
/** Halves of characters of UTF-16, which are no characters. */
const surrogates: Range = [0xd800, 0xdfff];

/** The rules by their names; `root` is among them, and so is every rule that is used. @throws {TandemError} schema_unsupported, naming the line */
export function readGbnf(text: string): ReadonlyMap<string, Expression> {
  if (text.length > lengthMax) fail('schema_unsupported', { message: `The grammar has ${text.length} characters, more than ${lengthMax}.`, param: 'grammar' });
  return new Reader(text).grammar();
}

class Reader {
  readonly #text: string;
  #at = 0;
  readonly #rules = new Map<string, Expression>();
  readonly #used = new Set<string>();

  constructor(text: string) {
    this.#text = text;
  }

  grammar(): ReadonlyMap<string, Expression> {
    if (this.#text.includes('\0')) this.#refuse('holds a NUL character');
    this.#space(true);
    while (this.#at < this.#text.length) this.#rule();
    if (!this.#rules.has('root')) this.#refuse('has no rule "root"');
    for (const name of this.#used) if (!this.#rules.has(name)) this.#refuse(`uses the rule "${name}", which is not defined`);
    return this.#rules;
  }

  #rule(): void {
    const name = this.#name();
    this.#space(false);
    this.#expect('::=');
    this.#space(true);
    this.#rules.set(name, this.#alternates(0));
    if (this.#at < this.#text.length && !/[\r\n]/.test(this.#peek())) this.#refuse('has something after the end of a rule');
    this.#space(true);
  }

  #alternates(depth: number): Expression {
    if (depth > depthMax) this.#refuse(`is nested deeper than ${depthMax}`);
    const alternatives = [this.#sequence(depth)];
    while (this.#peek() === '|') {
      this.#at++;
      this.#space(true);
      alternatives.push(this.#sequence(depth));
    }
    return { type: 'either', alternatives };
  }

  #sequence(depth: number): Expression[] {
    const items: Expression[] = [];
    for (;;) {
      const item = this.#item(depth);
      if (item === undefined) return items;
      this.#space(depth > 0);
      const repeated = this.#repetition(depth, item);
      if (repeated !== item && /[*+?{]/.test(this.#peek())) this.#refuse('repeats a repetition; use parentheses');
      items.push(repeated);
    }
  }

  /** Reads one item, if there is one. */
  #item(depth: number): Expression | undefined {
    const next = this.#peek();
    if (next === '"') return this.#literal();
    if (next === '[') return this.#class();
    if (next === '(') {
      this.#at++;
      this.#space(true);
      const group = this.#alternates(depth + 1);
      this.#expect(')');
      return group;
    }
    if (next === '.') {
      this.#at++;
      return { type: 'set', ranges: allBut([]) };
    }
    if (/[*+?{]/.test(next)) this.#refuse('repeats nothing');
    if (!/[a-zA-Z0-9-]/.test(next)) return undefined;
    const name = this.#name();
    this.#used.add(name);
    return { type: 'rule', name };
  }

  /** The item, repeated where a sign follows that says so. */
  #repetition(depth: number, item: Expression): Expression {
    const sign = this.#peek();
    if (!/[*+?{]/.test(sign)) return item;
    if (item.type === 'text' && item.characters.length === 0) this.#refuse('repeats an empty text');
    this.#at++;
    this.#space(depth > 0);
    let [least, most] = sign === '*' ? [0, Infinity] : sign === '+' ? [1, Infinity] : [0, 1];
    if (sign === '{') {
      least = most = this.#number();
      this.#space(depth > 0);
      if (this.#peek() === ',') {
        this.#at++;
        this.#space(depth > 0);
        most = /\d/.test(this.#peek()) ? this.#number() : Infinity;
        this.#space(depth > 0);
      }
      this.#expect('}');
      this.#space(depth > 0);
    }
    if (most < least) this.#refuse(`asks for at least ${least} and at most ${most} repetitions`);
    if (least > repetitionsMax || (Number.isFinite(most) && most > repetitionsMax)) this.#refuse(`asks for more than ${repetitionsMax} repetitions`);
    return { type: 'repeated', item, least, most };
  }

  #literal(): Expression {
    this.#at++;
    const characters: number[] = [];
    while (this.#peek() !== '"') characters.push(this.#character());
    this.#at++;
    return { type: 'text', characters };
  }

  #class(): Expression {
    this.#at++;
    const negated = this.#peek() === '^';
    if (negated) this.#at++;
    if (this.#peek() === ']') this.#refuse('has an empty set of characters');
    const ranges: Range[] = [];
    while (this.#peek() !== ']') {
      const first = this.#character();
      let last = first;
      if (this.#peek() === '-' && this.#text[this.#at + 1] !== ']') {
        this.#at++;
        last = this.#character();
      }
      if (last < first) this.#refuse('has a range of characters that ends before it begins');
      ranges.push([first, last]);
    }
    this.#at++;
    return { type: 'set', ranges: negated ? allBut(ranges) : merged(ranges) };
  }

  /** The code point of a character, written out or escaped. */
  #character(): number {
    const written = this.#text.codePointAt(this.#at);
    if (written === undefined) this.#refuse('ends inside a text or a set of characters');
    this.#at += written > 0xffff ? 2 : 1;
    const character = written === 0x5c ? this.#escaped() : written;
    if (character > lastCharacter || (character >= surrogates[0] && character <= surrogates[1])) this.#refuse('names a character that does not exist');
    return character;
  }

  #escaped(): number {
    const escape = this.#peek();
    const digits = { x: 2, u: 4, U: 8 }[escape];
    if (digits === undefined && !/[trn\\"[\]-]/.test(escape)) this.#refuse('has an unknown escape');
    this.#at++;
    if (digits === undefined) return ({ t: 9, r: 13, n: 10 }[escape] ?? escape.charCodeAt(0));
    const hex = this.#text.slice(this.#at, this.#at + digits);
    if (hex.length < digits || /[^0-9a-fA-F]/.test(hex)) this.#refuse('has an escape with too few hex digits');
    this.#at += digits;
    return Number.parseInt(hex, 16);
  }

  #name(): string {
    const name = /[a-zA-Z0-9-]*/y;
    name.lastIndex = this.#at;
    const [found = ''] = name.exec(this.#text) ?? [];
    if (found === '') this.#refuse('lacks a rule\'s name');
    this.#at += found.length;
    return found;
  }

  #number(): number {
    const digits = /\d{1,9}/y;
    digits.lastIndex = this.#at;
    const [found = ''] = digits.exec(this.#text) ?? [];
    if (found === '') this.#refuse('lacks a number of repetitions');
    this.#at += found.length;
    return Number(found);
  }

  #space(lines: boolean): void {
    for (;;) {
      const next = this.#peek();
      if (next === '#') while (this.#at < this.#text.length && !/[\r\n]/.test(this.#peek())) this.#at++;
      else if (next === ' ' || next === '\t' || (lines && (next === '\n' || next === '\r'))) this.#at++;
      else return;
    }
  }

  #expect(text: string): void {
    if (!this.#text.startsWith(text, this.#at)) this.#refuse(`lacks "${text}"`);
    this.#at += text.length;
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #refuse(why: string): never {
    const line = this.#text.slice(0, this.#at).split('\n').length;
    return fail('schema_unsupported', { message: `The grammar ${why} (line ${line}).`, param: 'grammar' });
  }
}

/** The same code points in order, none of them twice. */
function merged(ranges: readonly Range[]): Range[] {
  const all: [number, number][] = [];
  for (const [first, last] of ranges.toSorted(([a], [b]) => a - b)) {
    const before = all.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else all.push([first, last]);
  }
  return all;
}

/** Every character but these, and but NUL. */
function allBut(ranges: readonly Range[]): Range[] {
  const left: Range[] = [];
  let from = 1;
  for (const [first, last] of merged([...ranges, surrogates])) {
    if (first > from) left.push([from, first - 1]);
    from = Math.max(from, last + 1);
  }
  if (from <= lastCharacter) left.push([from, lastCharacter]);
  return left;
}
