/**
 * One llama.cpp context: its memory of sequences, one batch under construction, and the laws of the last one.
 *
 * Knows nothing of programs or requests. Batch arrays lie in memory that never moves, so their addresses are taken once.
 * Laws are read in place: the view of the logits is made again only when the library moved them.
 */
import { fail } from '../../errors.ts';
import type { Law } from '../../decoding/program.ts';
import { nothing, type BatchArgument, type BatchStruct, type Native, type Pointer, type Struct } from './bindings.ts';
import type { Weights } from './weights.ts';

/** Tokens that one batch takes at most, and that are computed at once. */
export const batchTokensMax = 512;

/** Memory for the laws of one batch; at least 64 of them are possible. */
const lawBytesMax = 2 << 20;

/** ggml's number for 8-bit blocks. */
const q8 = 8;
const f32 = 0;

/** What `decode` may say besides success. */
export type DecodeOutcome = 'done' | 'full' | 'stopped' | 'failed';

/**
 * How sequences lie in memory. `apart`: each has its own cells, so that a step costs only what its own length asks for; sharing a
 * prefix copies it. `together`: all lie in one pool; sharing a prefix costs nothing, but each step looks at the whole pool and pays
 * some 50 microseconds for keeping it, which is nothing for a large model and much for a small one.
 */
export type MemoryLayout = 'apart' | 'together';

/** How a context is made. */
export interface ContextSettings {
  /** Tokens of memory, over all sequences. */
  readonly cells: number;
  readonly layout: MemoryLayout;
  /** Sequences that can be held. */
  readonly sequences: number;
  readonly threads: number;
  readonly embeddings: boolean;
  /** Keys and values in 32 bits, plain attention. Default false. */
  readonly exact?: boolean;
  /** Threads shared by all contexts; 0n lets the library make its own. */
  readonly pool: Pointer;
  /** Address of the byte that stops a computation. */
  readonly stop: Pointer;
}

/** A context of libllama. Lives in the engine thread. */
export class LlamaContext {
  readonly pointer: Pointer;
  readonly memory: Pointer;
  readonly cells: number;
  readonly layout: MemoryLayout;
  readonly vocabularySize: number;
  /** Laws that one batch gives at most. */
  readonly outputsMax: number;
  /** Tokens in the batch under construction. */
  length = 0;
  /** Laws that the batch under construction will give. */
  outputs = 0;
  readonly #native: Native;
  readonly #stop: Pointer;
  readonly #tokens = new Int32Array(new SharedArrayBuffer(4 * batchTokensMax));
  readonly #positions = new Int32Array(new SharedArrayBuffer(4 * batchTokensMax));
  readonly #sequences = new Int32Array(new SharedArrayBuffer(4 * batchTokensMax));
  readonly #wanted = new Int8Array(new SharedArrayBuffer(batchTokensMax));
  readonly #batch: BatchStruct = { words: new BigUint64Array(new SharedArrayBuffer(56)) };
  readonly #decodable: BatchArgument;
  /** The first half of the batch's first word. */
  readonly #tokenCount = new Int32Array(this.#batch.words.buffer);
  /** Arrays that only native code reads; held so that they are not collected. */
  #kept: readonly unknown[] = [];
  #laws: Law[] = [];
  #lawsAt: Pointer = nothing;
  #adapter: Pointer = nothing;
  #adapterScale = 0;

  /** @throws {TandemError} engine_out_of_memory */
  constructor(native: Native, weights: Weights, settings: ContextSettings) {
    this.#native = native;
    this.#decodable = native.decodable(this.#batch);
    this.layout = settings.layout;
    this.vocabularySize = weights.vocabulary.size;
    this.outputsMax = settings.embeddings ? batchTokensMax : Math.min(batchTokensMax, Math.max(64, settings.sequences, Math.floor(lawBytesMax / (4 * this.vocabularySize))));
    const { value, errors } = native.watched(() => native.contextInit(weights.pointer, this.#params(settings, weights.slowHalfFloats)));
    if (!value) fail('engine_out_of_memory', { message: `The engine cannot make a context of ${settings.cells} tokens.`, cause: errors.join('\n') });
    this.pointer = value;
    this.memory = native.memoryOf(value);
    this.cells = native.contextSize(value);
    this.#stop = settings.stop;
    if (settings.pool !== nothing) native.attachThreadpool(value, settings.pool, settings.pool);
    this.#fillBatch();
  }

  /** Adds a token to the batch. @returns its row among the laws, or -1 when none is wanted */
  add(token: number, position: number, sequence: number, wanted: boolean): number {
    const at = this.length++;
    this.#tokens[at] = token;
    this.#positions[at] = position;
    this.#sequences[at] = sequence;
    this.#wanted[at] = wanted ? 1 : 0;
    return wanted ? this.outputs++ : -1;
  }

  /** Computes the batch and empties it. Unless it is `done`, cut the sequences back to what they held. */
  decode(): DecodeOutcome {
    const rows = this.outputs;
    const outcome = this.compute();
    if (outcome !== 'done') this.#laws = []; // what was not done may have moved them
    else if (rows > 0) this.#readLaws(rows);
    return outcome;
  }

  /** `decode` without reading laws, for contexts that give vectors. */
  compute(): DecodeOutcome {
    this.#tokenCount[0] = this.length;
    this.length = 0;
    this.outputs = 0;
    const status = this.#native.decode(this.pointer, this.#decodable);
    return status === 0 ? 'done' : status === 1 ? 'full' : status === 2 ? 'stopped' : 'failed';
  }

  /** Computes the batch as an encoder does, without memory, and empties it. */
  encode(): DecodeOutcome {
    this.#tokenCount[0] = this.length;
    this.length = 0;
    this.outputs = 0;
    return this.#native.encode(this.pointer, this.#batch) === 0 ? 'done' : 'failed';
  }

  /** Whether the byte that stops a computation is looked at from now on. At first it is not. */
  mayStop(may: boolean): void {
    this.#native.setAbort(this.pointer, may ? this.#native.flagIsSet : nothing, may ? this.#stop : nothing);
  }

  /** The law at a row of the last batch, in place: valid until the next `decode`. */
  law(row: number): Law {
    return this.#laws[row] as Law;
  }

  /** Forgets what a sequence holds from a position on. False when the model cannot. */
  cut(sequence: number, from: number): boolean {
    return this.#native.sequenceRemove(this.memory, sequence, from, -1);
  }

  /** Lets an empty sequence hold the first tokens of another one too. */
  share(from: number, to: number, length: number): void {
    if (this.layout === 'together') {
      this.#native.sequenceCopy(this.memory, from, to, 0, length);
      return;
    }
    this.#native.sequenceCopy(this.memory, from, to, -1, -1);
    this.cut(to, length);
  }

  /** Applies an adapter to what is computed from now on; 0n for none. */
  useAdapter(adapter: Pointer, scale: number): void {
    if (adapter === this.#adapter && scale === this.#adapterScale) return;
    this.#adapter = adapter;
    this.#adapterScale = scale;
    this.#native.setAdapters(this.pointer, BigUint64Array.of(adapter), adapter === nothing ? 0 : 1, Float32Array.of(scale));
  }

  /** Frees the context. */
  free(): void {
    this.#laws = [];
    this.#native.contextFree(this.pointer);
  }

  /**
   * Half floats in rows that are no multiple of 64 long have slow kernels on processors: keys of such models are held in 8 bits,
   * which was measured to halve the time of a step of the small bundled model.
   */
  #params(settings: ContextSettings, slowHalfFloats: boolean): Struct {
    const together = settings.layout === 'together';
    return {
      ...this.#native.contextDefaults(),
      n_ctx: settings.cells,
      n_batch: batchTokensMax,
      n_ubatch: batchTokensMax,
      n_seq_max: together ? 1 : settings.sequences,
      n_outputs_max: this.outputsMax,
      n_threads: settings.threads,
      n_threads_batch: settings.threads,
      embeddings: settings.embeddings,
      kv_unified: together,
      ...(settings.exact === true ? { flash_attn_type: 0, type_k: f32, type_v: f32 } : slowHalfFloats ? { flash_attn_type: 0, type_k: q8 } : {}),
    };
  }

  /** Notes where the arrays lie, in the order of `BatchStruct`. */
  #fillBatch(): void {
    const address = this.#native.address;
    const one = new Int32Array(new SharedArrayBuffer(4 * batchTokensMax)).fill(1);
    const pointers = new BigUint64Array(new SharedArrayBuffer(8 * batchTokensMax));
    const sequences = address(this.#sequences);
    for (let n = 0; n < batchTokensMax; n++) pointers[n] = sequences + BigInt(4 * n);
    this.#kept = [one, pointers];
    this.#batch.words.set([0n, address(this.#tokens), nothing, address(this.#positions), address(one), address(pointers), address(this.#wanted)]);
  }

  /**
   * The library's memory for laws moves only when a batch gives more of them than any did before (`llama_context::output_reserve`),
   * and asking for it puts several into the batch's order. A single one is where the first one was.
   */
  #readLaws(rows: number): void {
    if (rows === 1 && this.#native.waits && this.#laws.length > 0) return;
    const at = this.#native.logits(this.pointer);
    if (at === this.#lawsAt && rows <= this.#laws.length) return;
    const bytes = 4 * this.vocabularySize;
    const view = this.#native.view(at, rows * bytes);
    this.#lawsAt = at;
    this.#laws = Array.from({ length: rows }, (_, row) => new Float32Array(view, row * bytes, this.vocabularySize));
  }
}
