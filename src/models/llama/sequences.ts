/**
 * The sequences in a context's memory: live ones, and finished ones kept as prefixes for prompts to come.
 *
 * A prompt that begins like a sequence in memory shares what they have in common and computes only the rest: the next turn of
 * a chat, several answers to one prompt, a common system prompt. Whether sharing copies depends on the layout of the memory.
 * Kept prefixes are the first to go when cells run short, least recently used first.
 */
import { fail } from '../../errors.ts';
import type { Sequence } from '../../decoding/program.ts';
import type { LlamaContext } from './context.ts';

/** Prefixes shorter than this are not worth keeping. */
const keptTokensMin = 16;
/** Copying less than this costs more than computing it. */
const copiedTokensMin = 64;
/** Prefixes kept at most. */
const keptMax = 16;

/** A sequence in the memory of a context. */
export class LlamaSequence implements Sequence {
  readonly role: string;
  readonly id: number;
  /** Which adapter computed it; others cannot reuse it. */
  readonly adapter: string;
  readonly tokens: number[] = [];
  readonly #store: SequenceStore;
  open = true;
  /** Told of each fork, so that its owner closes it too. */
  onFork: ((fork: LlamaSequence) => void) | undefined;

  constructor(store: SequenceStore, role: string, id: number, adapter: string) {
    this.#store = store;
    this.role = role;
    this.id = id;
    this.adapter = adapter;
  }

  get length(): number {
    return this.tokens.length;
  }

  get lengthMax(): number {
    return this.#store.tokensMax;
  }

  get store(): SequenceStore {
    return this.#store;
  }

  rollback(length: number): void {
    this.#store.rollback(this, length);
  }

  fork(): LlamaSequence {
    const fork = this.#store.fork(this);
    this.onFork?.(fork);
    return fork;
  }

  close(): void {
    this.#store.close(this);
  }
}

/** All sequences of one context. */
export class SequenceStore {
  readonly context: LlamaContext;
  /** Tokens that one sequence may hold. */
  readonly tokensMax: number;
  readonly #free: number[];
  readonly #live = new Set<LlamaSequence>();
  /** Least recently used first. */
  readonly #kept: LlamaSequence[] = [];
  readonly #keptTokensMax: number;
  readonly #rollsBack: boolean;

  /** @param ids sequence ids that the context takes @param rollsBack whether prefixes can be cut and shared */
  constructor(context: LlamaContext, ids: number, tokensMax: number, rollsBack: boolean) {
    this.context = context;
    this.tokensMax = tokensMax;
    this.#free = Array.from({ length: ids }, (_, n) => ids - 1 - n);
    this.#keptTokensMax = context.layout === 'apart' ? Infinity : Math.floor(context.cells / 2);
    this.#rollsBack = rollsBack;
  }

  /** Prefixes kept for reuse. */
  get keptCount(): number {
    return this.#kept.length;
  }

  /** Opens a sequence that begins with as much of a prompt as memory holds, but not all of it, since its last token must be computed. */
  open(role: string, adapter: string, prompt: readonly number[] = []): LlamaSequence {
    const { source, common } = this.#rollsBack ? this.#longest(adapter, prompt) : { common: 0 };
    if (source === undefined) return this.#make(role, adapter);
    const apart = this.context.layout === 'apart';
    if (!source.open && (common === source.length || (apart && 2 * common >= source.length))) return this.#takeOver(source, role, common);
    if (apart && common < copiedTokensMin) return this.#make(role, adapter);
    if (!source.open) this.#touch(source);
    const sequence = this.#make(role, adapter);
    if (!source.open && !this.#kept.includes(source)) return sequence; // it had to make room
    this.context.share(source.id, sequence.id, common);
    for (let n = 0; n < common; n++) sequence.tokens.push(prompt[n] as number);
    return sequence;
  }

  /** A second sequence with the same tokens. @throws {TandemError} engine_out_of_memory, ability_missing */
  fork(from: LlamaSequence): LlamaSequence {
    if (!this.#rollsBack && from.length > 0) fail('ability_missing', 'A recurrent model cannot fork a prefix.');
    const sequence = this.#make(from.role, from.adapter);
    if (from.length > 0) this.context.share(from.id, sequence.id, from.length);
    for (const token of from.tokens) sequence.tokens.push(token);
    return sequence;
  }

  /** Cuts a sequence back. @throws {TandemError} parameter_invalid, ability_missing */
  rollback(sequence: LlamaSequence, length: number): void {
    if (!(Number.isInteger(length) && length >= 0 && length <= sequence.length)) fail('parameter_invalid', `Expected a length from 0 to ${sequence.length}, got ${length}.`);
    if (length === sequence.length) return;
    if (!this.context.cut(sequence.id, length)) fail('ability_missing', 'A recurrent model cannot cut a prefix back.');
    sequence.tokens.length = length;
  }

  /** Ends a sequence; what it holds may stay as a prefix. */
  close(sequence: LlamaSequence): void {
    if (!sequence.open) return;
    sequence.open = false;
    this.#live.delete(sequence);
    if (!this.#rollsBack || sequence.length < keptTokensMin || this.#kept.some((kept) => kept.adapter === sequence.adapter && commonLength(kept.tokens, sequence.tokens) === sequence.length)) {
      this.#release(sequence);
      return;
    }
    for (const kept of [...this.#kept]) if (kept.adapter === sequence.adapter && commonLength(kept.tokens, sequence.tokens) === kept.length) this.#drop(kept);
    this.#kept.push(sequence);
    let total = this.#kept.reduce((sum, kept) => sum + kept.length, 0);
    while (this.#kept.length > 1 && (total > this.#keptTokensMax || this.#kept.length > keptMax)) {
      total -= (this.#kept[0] as LlamaSequence).length;
      this.evict();
    }
    if (total > this.#keptTokensMax) this.evict();
  }

  /** Drops the least recently used prefix. False when none is kept. */
  evict(): boolean {
    const oldest = this.#kept[0];
    if (oldest === undefined) return false;
    this.#drop(oldest);
    return true;
  }

  /** Drops the kept prefixes that an adapter computed. */
  forget(adapter: string): void {
    for (const kept of [...this.#kept]) if (kept.adapter === adapter) this.#drop(kept);
  }

  /** Drops every kept prefix. */
  clear(): void {
    while (this.evict());
  }

  /** Makes memory agree with the tokens that a sequence holds, after a batch that was not done. False when the model cannot. */
  restore(sequence: LlamaSequence): boolean {
    return !sequence.open || this.context.cut(sequence.id, sequence.length);
  }

  #make(role: string, adapter: string): LlamaSequence {
    const id = this.#place();
    if (id === undefined) return fail('engine_out_of_memory', 'The model holds as many sequences as it can.');
    const sequence = new LlamaSequence(this, role, id, adapter);
    this.#live.add(sequence);
    return sequence;
  }

  /**
   * A free place, between or beside sequences that are in use if possible: where sequences lie apart, the library computes neighbours in one
   * go and all others one after the other, which for a small model takes as long as computing them alone. A kept prefix makes way for that.
   */
  #place(): number | undefined {
    let best = this.#free.at(-1);
    let neighbours = best === undefined ? -1 : this.#neighbours(best);
    let makesWay: LlamaSequence | undefined;
    for (const id of this.#free) {
      if (this.#neighbours(id) <= neighbours) continue;
      best = id;
      neighbours = this.#neighbours(id);
    }
    for (const kept of this.#kept) {
      if (this.#neighbours(kept.id) <= neighbours) continue;
      best = kept.id;
      neighbours = this.#neighbours(kept.id);
      makesWay = kept;
    }
    if (makesWay !== undefined) this.#drop(makesWay);
    if (best !== undefined) this.#free.splice(this.#free.indexOf(best), 1);
    return best;
  }

  /** How many neighbours of a place are in use, as far as it matters. */
  #neighbours(id: number): number {
    let count = 0;
    if (this.context.layout === 'apart') for (const live of this.#live) if (Math.abs(live.id - id) === 1) count++;
    return count;
  }

  /** Goes on with a kept prefix, cut to what is wanted of it. */
  #takeOver(kept: LlamaSequence, role: string, length: number): LlamaSequence {
    this.#kept.splice(this.#kept.indexOf(kept), 1);
    const sequence = new LlamaSequence(this, role, kept.id, kept.adapter);
    this.#live.add(sequence);
    for (const token of kept.tokens) sequence.tokens.push(token);
    this.rollback(sequence, length);
    return sequence;
  }

  #longest(adapter: string, prompt: readonly number[]): { readonly source?: LlamaSequence; readonly common: number } {
    let source: LlamaSequence | undefined;
    let common = 0;
    for (const pool of [this.#kept, this.#live]) {
      for (const candidate of pool) {
        if (candidate.adapter !== adapter) continue;
        const shared = Math.min(commonLength(candidate.tokens, prompt), prompt.length - 1);
        if (shared > common || (shared > 0 && shared === common && !candidate.open && source?.open === false && this.#neighbours(candidate.id) > this.#neighbours(source.id))) {
          common = shared;
          source = candidate;
        }
      }
    }
    return source === undefined ? { common } : { source, common };
  }

  #touch(sequence: LlamaSequence): void {
    const at = this.#kept.indexOf(sequence);
    if (at >= 0) this.#kept.push(...this.#kept.splice(at, 1));
  }

  #drop(sequence: LlamaSequence): void {
    const at = this.#kept.indexOf(sequence);
    if (at >= 0) this.#kept.splice(at, 1);
    this.#release(sequence);
  }

  #release(sequence: LlamaSequence): void {
    this.context.cut(sequence.id, 0);
    this.#free.push(sequence.id);
  }
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length);
  let n = 0;
  while (n < most && a[n] === b[n]) n++;
  return n;
}
