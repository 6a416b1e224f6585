/**
 * A grammar as an automaton over bytes that calls itself: rules become small programs, and characters their bytes in UTF-8.
 *
 * Instructions. `byte`: goes on at `next` with a byte from `x` to `y`. `fork`: goes on at `next` and at `x`, without a byte. `call`: goes
 * on where the rule `x` begins, and at `next` when it ends. `end`: the rule ends; there is one for all rules, at 0.
 *
 * Worked example: `root ::= "a" root "b" | ""` is: 0 end, 1 byte b 0, 2 call root 1, 3 byte a 2, 4 fork 3 0; root begins at 4.
 */
import { fail } from '../../errors.ts';
import { readGbnf, type Expression, type Range } from './gbnf.ts';
import { byteRanges, bytesOf } from './utf8.ts';

/** Kinds of instructions. */
export const op = { end: 0, byte: 1, fork: 2, call: 3 } as const;

/** Where every rule ends. */
export const end = 0;

/** Instructions of a grammar at most. */
const instructionsMax = 100_000;

/** The instructions of a grammar, field by field. */
export interface Automaton {
  readonly ops: Uint8Array;
  readonly next: Int32Array;
  readonly x: Int32Array;
  readonly y: Int32Array;
  /** Where the rules begin. */
  readonly begins: Int32Array;
  readonly root: number;
}

/**
 * Reads a grammar.
 * @throws {TandemError} schema_unsupported: a mistake, a rule that begins with itself, or too much of it
 */
export function automatonOf(gbnf: string): Automaton {
  const builder = new Builder(readGbnf(gbnf));
  const automaton = builder.automaton();
  const rule = leftRecursive(automaton);
  if (rule !== undefined) fail('schema_unsupported', { message: `The grammar's rule "${builder.names[rule]}" begins with itself.`, param: 'grammar' });
  return automaton;
}

/** Writes instructions, each rule from its end to its beginning. */
class Builder {
  /** Rules by number; one that the grammar does not name has the name of the rule that it is a part of. */
  readonly names: string[];
  readonly #rules: ReadonlyMap<string, Expression>;
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #begins: number[] = [];
  readonly #ops: number[] = [op.end];
  readonly #next: number[] = [0];
  readonly #x: number[] = [0];
  readonly #y: number[] = [0];
  #name = '';

  constructor(rules: ReadonlyMap<string, Expression>) {
    this.#rules = rules;
    this.names = [...rules.keys()];
    this.#numbers = new Map(this.names.map((name, number) => [name, number]));
  }

  automaton(): Automaton {
    for (const [name, expression] of this.#rules) {
      this.#name = name;
      this.#begins[this.#number(name)] = this.#expression(expression, end);
    }
    return { ops: Uint8Array.from(this.#ops), next: Int32Array.from(this.#next), x: Int32Array.from(this.#x), y: Int32Array.from(this.#y), begins: Int32Array.from(this.#begins), root: this.#number('root') };
  }

  #number(name: string): number {
    return this.#numbers.get(name) as number;
  }

  /** Writes an expression after which it goes on at `next`; gives where it begins. */
  #expression(expression: Expression, next: number): number {
    switch (expression.type) {
      case 'text': return expression.characters.reduceRight((after, character) => bytesOf(character).reduceRight((then, byte) => this.#add(op.byte, then, byte, byte), after), next);
      case 'set': return this.#set(expression.ranges, next);
      case 'rule': return this.#add(op.call, next, this.#number(expression.name));
      case 'repeated': return this.#repeated(expression, next);
      case 'either': return this.#either(expression.alternatives.map((items) => items.reduceRight((after, item) => this.#expression(item, after), next)));
    }
  }

  /** Goes on at all of these. */
  #either(begins: readonly number[]): number {
    return begins.reduceRight((others, begin) => this.#add(op.fork, begin, others));
  }

  #set(ranges: readonly Range[], next: number): number {
    const written = new Map<string, number>();
    const begins = ranges.flatMap(byteRanges).map((bytes) => bytes.reduceRight((after, [first, last]) => {
      const key = `${first} ${last} ${after}`;
      const known = written.get(key) ?? this.#add(op.byte, after, first, last);
      written.set(key, known);
      return known;
    }, next));
    // a set that allows nothing goes on with no byte
    return begins.length === 0 ? this.#add(op.byte, next, 1, 0) : this.#either(begins);
  }

  #repeated({ item, least, most }: Extract<Expression, { type: 'repeated' }>, next: number): number {
    const endless = !Number.isFinite(most);
    const copies = endless ? least + 1 : most;
    // what is copied is called, so that a copy is one instruction
    const rule = copies > 1 && item.type !== 'rule' ? this.#ruleOf(item) : undefined;
    const one = (after: number): number => (rule === undefined ? this.#expression(item, after) : this.#add(op.call, after, rule));
    let begin = next;
    if (endless) {
      begin = this.#add(op.fork, next, next);
      this.#x[begin] = one(begin);
    } else for (let n = least; n < most; n++) begin = this.#add(op.fork, one(begin), next);
    for (let n = 0; n < least; n++) begin = one(begin);
    return begin;
  }

  /** Makes an expression a rule of its own; gives its number. */
  #ruleOf(expression: Expression): number {
    const begin = this.#expression(expression, end);
    this.#begins[this.names.length] = begin;
    return this.names.push(this.#name) - 1;
  }

  #add(kind: number, next: number, x: number, y = 0): number {
    if (this.#ops.length >= instructionsMax) fail('schema_unsupported', { message: `The grammar comes to more than ${instructionsMax} instructions.`, param: 'grammar' });
    this.#next.push(next);
    this.#x.push(x);
    this.#y.push(y);
    return this.#ops.push(kind) - 1;
  }
}

/** The number of a rule that can begin with itself, directly or through others, also after rules that come to nothing; undefined when there is none. */
function leftRecursive({ ops, next, x, begins }: Automaton): number | undefined {
  const leading: number[][] = Array.from(begins, () => []);
  const nullable = new Uint8Array(begins.length);
  /** Where to go on, by whose rule, once a rule is known to come to nothing. */
  const waiting: [number, number][][] = Array.from(begins, () => []);
  const seen = new Uint8Array(ops.length);
  const work = Array.from(begins, (at, rule): [number, number] => [rule, at]);
  for (let item = work.pop(); item !== undefined; item = work.pop()) {
    const [rule, at] = item;
    if (at === end) {
      if (nullable[rule] === 0) for (const on of waiting[rule] as [number, number][]) work.push(on);
      nullable[rule] = 1;
      continue;
    }
    if (seen[at] === 1) continue;
    seen[at] = 1;
    const kind = ops[at];
    const after: [number, number] = [rule, next[at] as number];
    const other = x[at] as number;
    if (kind === op.fork) work.push(after, [rule, other]);
    if (kind !== op.call) continue;
    (leading[rule] as number[]).push(other);
    if (nullable[other] === 1) work.push(after);
    else (waiting[other] as [number, number][]).push(after);
  }
  return cycleIn(leading);
}

/** A node of a graph that leads back to itself. */
function cycleIn(edges: readonly (readonly number[])[]): number | undefined {
  const unseen = 0, open = 1, done = 2;
  const marks = new Uint8Array(edges.length);
  for (let start = 0; start < edges.length; start++) {
    const path = [start];
    while (path.length > 0) {
      const node = path.at(-1) as number;
      if (marks[node] !== unseen) {
        marks[node] = done;
        path.pop();
        continue;
      }
      marks[node] = open;
      for (const to of edges[node] as readonly number[]) {
        if (marks[to] === open) return to;
        if (marks[to] === unseen) path.push(to);
      }
    }
  }
  return undefined;
}
