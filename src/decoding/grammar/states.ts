/**
 * How far into a grammar a text is: every way of reading it, at once.
 *
 * A state is a set of threads. A thread is an instruction that waits for a byte, and who waits for its rule to end. Rules that were called
 * at one place share one such caller, however many called them (a graph-structured stack; Tomita 1987, Scott and Johnstone 2010), so the
 * work a byte is bounded by the grammar and not by the number of readings, which can double with every byte. States and callers that
 * come up again are found again, with what is known of what follows them; inside a text, a byte then costs a look-up.
 *
 * Worked example: `root ::= "a" root "b" | "a" root "c" | "d"`. After "aaa" there are eight readings and three threads (one for each
 * alternative of the innermost root), whose caller goes on at "b" or at "c" and has a caller that does the same.
 */
import { fail } from '../../errors.ts';
import { end, op, type Automaton } from './automaton.ts';

/** Threads and what leads to them, in one state at most. */
const sizeMax = 20_000;
/** States that are kept to be found again. */
const statesKeptMax = 4_000;
/** States of more threads than this are not looked for again. */
const soughtThreadsMax = 256;

/** Who waits for a rule to end: where to go on, and who waits then. */
class Caller {
  /** Negative until it is known who else waits. */
  readonly id: number;
  readonly returns: { readonly at: number; readonly caller: Caller }[] = [];
  /** Whether the rule may come to nothing here. */
  ended = false;
  visited = false;
  /** The caller that is the same and is kept. */
  kept: Caller | undefined;

  constructor(id: number) {
    this.id = id;
  }
}

/** A state. */
export class State {
  /** Instructions that wait for a byte, and their callers. */
  readonly ats: readonly number[];
  readonly callers: readonly Caller[];
  /** Whether the text may end here. */
  readonly mayEnd: boolean;
  /** What follows, by byte, as far as it was asked for since the states were last forgotten. */
  following: State[] = [];
  epoch = 0;

  constructor(ats: readonly number[], callers: readonly Caller[], mayEnd: boolean) {
    this.ats = ats;
    this.callers = callers;
    this.mayEnd = mayEnd;
  }

  /** Whether no text leads further and none ends here. */
  get dead(): boolean {
    return this.ats.length === 0 && !this.mayEnd;
  }
}

const dead = new State([], [], false);

/** The states of one grammar. */
export class States {
  readonly #automaton: Automaton;
  readonly #nobody = new Caller(0);
  readonly #callers = new Map<string, Caller>();
  readonly #states = new Map<string, State>();
  #ids = 0;
  #epoch = 0;
  #work = 0;

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
  }

  /** The state before the first byte. @throws {TandemError} schema_unsupported where a text may begin in too many ways */
  first(): State {
    const { begins, root } = this.#automaton;
    return this.#closed([begins[root] as number], [this.#nobody]);
  }

  /** Steps of work since the beginning: instructions passed, callers told apart, and an eighth of the threads looked at. */
  get work(): number {
    return this.#work;
  }

  /** The state after a byte. @throws {TandemError} schema_unsupported where the text may be read in too many ways */
  after(state: State, byte: number): State {
    if (state.epoch !== this.#epoch) {
      state.epoch = this.#epoch;
      state.following = [];
    }
    return (state.following[byte] ??= this.#step(state, byte));
  }

  #step({ ats, callers }: State, byte: number): State {
    const { x, y, next } = this.#automaton;
    const ways: number[] = [];
    const waysCallers: Caller[] = [];
    for (let n = 0; n < ats.length; n++) {
      const at = ats[n] as number;
      if (byte < (x[at] as number) || byte > (y[at] as number)) continue;
      ways.push(next[at] as number);
      waysCallers.push(callers[n] as Caller);
    }
    this.#work += ats.length >> 3; // looking at a thread costs far less than making one
    return ways.length === 0 ? dead : this.#closed(ways, waysCallers);
  }

  /** Follows instructions to those that wait for a byte. */
  #closed(ways: number[], waysCallers: Caller[]): State {
    const { ops, next, x, begins } = this.#automaton;
    const seen = new Set<number>();
    const called = new Map<number, Caller>();
    const ats: number[] = [];
    const callers: Caller[] = [];
    let mayEnd = false;
    const go = (at: number, caller: Caller): void => {
      ways.push(at);
      waysCallers.push(caller);
    };
    while (ways.length > 0) {
      const at = ways.pop() as number;
      const caller = waysCallers.pop() as Caller;
      const key = caller.id * ops.length + at;
      if (seen.has(key)) continue;
      seen.add(key);
      switch (ops[at]) {
        case op.byte:
          ats.push(at);
          callers.push(caller);
          break;
        case op.fork:
          go(x[at] as number, caller);
          go(next[at] as number, caller);
          break;
        case op.end:
          caller.ended = true;
          if (caller === this.#nobody) mayEnd = true;
          for (const back of caller.returns) go(back.at, back.caller);
          break;
        default: {
          const rule = x[at] as number;
          const back = next[at] as number;
          if (back === end) {
            go(begins[rule] as number, caller); // nothing is left to do for who calls, so its own caller waits
            break;
          }
          let opened = called.get(rule);
          if (opened === undefined) {
            called.set(rule, (opened = new Caller(-1 - called.size)));
            go(begins[rule] as number, opened);
          }
          opened.returns.push({ at: back, caller });
          if (opened.ended) go(back, caller);
        }
      }
      if (seen.size + ways.length > sizeMax) fail('schema_unsupported', { message: `The grammar can be read in more than ${sizeMax} ways at one place.`, param: 'grammar' });
    }
    this.#work += seen.size;
    for (let n = 0; n < callers.length; n++) if ((callers[n] as Caller).id < 0) callers[n] = this.#kept(callers[n] as Caller);
    return this.#found(ats, callers, mayEnd);
  }

  /** The kept caller that is the same as one of this place, whose own callers are kept first. No rule begins with itself, so there is a first. */
  #kept(caller: Caller): Caller {
    const path = [caller];
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      if (top.kept !== undefined) path.pop();
      else if (!top.visited) {
        top.visited = true;
        for (const back of top.returns) if (back.caller.id < 0 && back.caller.kept === undefined) path.push(back.caller);
      } else top.kept = this.#same(top);
    }
    return caller.kept as Caller;
  }

  #same({ returns }: Caller): Caller {
    this.#work += returns.length;
    const settled = new Map<string, Caller['returns'][number]>();
    for (const { at, caller } of returns) {
      const waits = caller.kept ?? caller;
      settled.set(`${at} ${waits.id}`, { at, caller: waits });
    }
    const key = [...settled.keys()].sort().join();
    let same = this.#callers.get(key);
    if (same === undefined) {
      this.#callers.set(key, (same = new Caller(++this.#ids)));
      same.returns.push(...settled.values());
    }
    return same;
  }

  #found(ats: readonly number[], callers: readonly Caller[], mayEnd: boolean): State {
    if (this.#states.size >= statesKeptMax || this.#callers.size >= statesKeptMax) this.#forget();
    if (ats.length > soughtThreadsMax) return new State(ats, callers, mayEnd);
    let key = mayEnd ? 'end' : '';
    for (let n = 0; n < ats.length; n++) key += ` ${ats[n]} ${(callers[n] as Caller).id}`;
    let state = this.#states.get(key);
    if (state === undefined) this.#states.set(key, (state = new State(ats, callers, mayEnd)));
    return state;
  }

  /** Forgets what is kept to be found again; what is in use goes on as it is. */
  #forget(): void {
    this.#states.clear();
    this.#callers.clear();
    this.#epoch++;
  }
}
