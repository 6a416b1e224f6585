/** A context that computes nothing: notes the batches, and gives laws whose likeliest token is the one before plus one. */
import type { Law } from '../../src/decoding/program.ts';
import type { DecodeOutcome, LlamaContext, MemoryLayout } from '../../src/models/llama/context.ts';

/** What a context is asked, without one. */
export class FakeContext {
  readonly layout: MemoryLayout;
  readonly cells = 4096;
  readonly vocabularySize = 1000;
  readonly outputsMax = 64;
  length = 0;
  outputs = 0;
  /** Sequences of the batch under construction, and those of the batches before. */
  batch: number[] = [];
  readonly batches: number[][] = [];
  /** What the next batches come to; `done` where nothing stands. */
  readonly outcomes: DecodeOutcome[] = [];
  /** Whether sequences can be cut back. */
  rollsBack = true;
  /** Lengths to which sequences were cut, with their ids. */
  readonly cuts: [sequence: number, from: number][] = [];
  #wanted: number[] = [];
  #laws: Law[] = [];

  constructor(layout: MemoryLayout) {
    this.layout = layout;
  }

  get context(): LlamaContext {
    return this as unknown as LlamaContext;
  }

  add(token: number, _position: number, sequence: number, wanted: boolean): number {
    this.length++;
    this.batch.push(sequence);
    if (!wanted) return -1;
    this.#wanted.push(token);
    return this.outputs++;
  }

  decode(): DecodeOutcome {
    this.batches.push(this.batch);
    this.#laws = this.#wanted.map((token) => Float32Array.of(token + 1));
    this.batch = [];
    this.#wanted = [];
    this.length = 0;
    this.outputs = 0;
    return this.outcomes.shift() ?? 'done';
  }

  /** One number: the likeliest token. */
  law(row: number): Law {
    return this.#laws[row] as Law;
  }

  mayStop(): void {}

  cut(sequence: number, from: number): boolean {
    this.cuts.push([sequence, from]);
    return this.rollsBack;
  }

  share(): void {}
}
