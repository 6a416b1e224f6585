/** An open model in the engine thread: its weights (shared), its context and sequences, its adapters, its vectors. */
import { totalmem } from 'node:os';
import type { Lane } from './batch.ts';
import { nothing, type Native, type Pointer } from './bindings.ts';
import { LlamaContext, type MemoryLayout } from './context.ts';
import type { OpenedModel, OpenSettings } from './protocol.ts';
import { SequenceStore } from './sequences.ts';
import { LlamaVectors } from './vectors.ts';
import type { LlamaVocabulary } from './vocabulary.ts';
import type { Weights, WeightsCache } from './weights.ts';

/** Context for each request when the settings say nothing. Tokens. */
const contextTokensDefault = 8192;
/** Sequences that a pool of cells takes (LLAMA_MAX_SEQ). */
const sequencesTogether = 256;
/** Sequences beyond the running requests: forks, drafts' branches and prefixes kept for reuse. */
const sequencesSpare = 1;
/** Files below this many bytes hold their sequences apart (`MemoryLayout`). */
const apartBytes = 256 * 1024 * 1024;

/** Cells come in blocks of this many. */
const cellsBlock = 256;

/** What models share: threads, and the byte that stops a computation. */
export interface Shared {
  readonly native: Native;
  readonly weights: WeightsCache;
  readonly pool: (threads: number) => Pointer;
  readonly stop: Pointer;
}

interface LoadedAdapter {
  readonly pointer: Pointer;
  readonly scale: number;
}

const none: LoadedAdapter = { pointer: nothing, scale: 0 };

/** A model that requests can run on. */
export class OpenModel implements Lane {
  readonly handle: number;
  readonly weights: Weights;
  readonly vocabulary: LlamaVocabulary;
  readonly context: LlamaContext;
  readonly store: SequenceStore;
  readonly contextTokensMax: number;
  readonly requestsMax: number;
  readonly rollsBack: boolean;
  readonly #common: { readonly threads: number; readonly pool: Pointer; readonly stop: Pointer };
  #vectors: LlamaVectors | undefined;
  /** Sequences that it holds at once. */
  readonly sequencesMax: number;
  /** Cells and sequences promised to running requests and forks, and how many requests these are. */
  promised = 0;
  promisedSequences = 0;
  requests = 0;
  readonly #shared: Shared;
  readonly #settings: OpenSettings;
  readonly #adapters = new Map<string, LoadedAdapter>();
  /** Keys of adapters that no new request may use. */
  readonly #retired = new Set<string>();

  /** @throws {TandemError} model_file_missing, model_file_invalid, model_unsupported, engine_out_of_memory */
  constructor(shared: Shared, handle: number, settings: OpenSettings) {
    const { native } = shared;
    this.handle = handle;
    this.#shared = shared;
    this.#settings = settings;
    this.weights = shared.weights.acquire(settings.file, settings.gpuLayers);
    try {
      const { pointer } = this.weights;
      this.vocabulary = this.weights.vocabulary;
      this.#load(settings.adapters);
      this.rollsBack = !native.isRecurrent(pointer) && !native.isHybrid(pointer);
      const trained = native.trainedContext(pointer);
      this.contextTokensMax = settings.contextTokensMax ?? Math.min(trained > 0 ? trained : contextTokensDefault, contextTokensDefault);
      const layout = this.rollsBack && this.weights.header.fileBytes >= apartBytes ? 'together' : 'apart';
      const { cells, sequences, requests } = this.#memory(native, layout, settings.sequencesMax);
      this.requestsMax = requests;
      this.sequencesMax = sequences;
      const common = { threads: settings.threads, pool: shared.pool(settings.threads), stop: shared.stop };
      this.context = new LlamaContext(native, this.weights, { ...common, cells, layout, sequences, embeddings: false, ...(settings.exact === true ? { exact: true } : {}) });
      this.store = new SequenceStore(this.context, sequences, this.contextTokensMax, this.rollsBack);
      this.#common = common;
    } catch (error) {
      this.#freeAdapters();
      shared.weights.release(this.weights);
      throw error;
    }
  }

  useAdapter(key: string): void {
    const { pointer, scale } = this.#adapters.get(key) ?? none;
    this.context.useAdapter(pointer, scale);
  }

  /** Whether requests may name an adapter by this key. */
  hasAdapter(key: string): boolean {
    return key === '' || this.#adapters.has(key);
  }

  /** Whether adapters wait to be freed. */
  get hasRetired(): boolean {
    return this.#retired.size > 0;
  }

  /** Loads what is new and retires what is not named; nothing changes when one cannot be loaded. @throws {TandemError} model_file_missing, model_file_invalid, model_unsupported */
  setAdapters(adapters: OpenSettings['adapters']): void {
    this.#load(adapters);
    for (const key of this.#adapters.keys()) {
      if (key in adapters) this.#retired.delete(key);
      else this.#retired.add(key);
    }
  }

  /** Frees retired adapters. Nothing may be running on the model. */
  freeRetired(): void {
    if (!this.hasRetired) return;
    this.context.useAdapter(nothing, 0);
    this.#vectors?.useAdapter(nothing, 0);
    for (const key of this.#retired) {
      this.store.forget(key);
      this.weights.freeAdapter((this.#adapters.get(key) as LoadedAdapter).pointer);
      this.#adapters.delete(key);
    }
    this.#retired.clear();
  }

  #load(adapters: OpenSettings['adapters']): void {
    const loaded: [string, LoadedAdapter][] = [];
    try {
      for (const [key, { file, scale }] of Object.entries(adapters)) if (!this.#adapters.has(key)) loaded.push([key, { pointer: this.weights.adapter(file), scale }]);
    } catch (error) {
      for (const [, { pointer }] of loaded) this.weights.freeAdapter(pointer);
      throw error;
    }
    for (const [key, adapter] of loaded) this.#adapters.set(key, adapter);
  }

  #freeAdapters(): void {
    for (const { pointer } of this.#adapters.values()) this.weights.freeAdapter(pointer);
    this.#adapters.clear();
  }

  /** Whether it was opened for vectors. */
  get embeds(): boolean {
    return this.#settings.embeddings;
  }

  /** What makes vectors. Its context is made at the first text, since it takes tens of megabytes. @throws {TandemError} engine_out_of_memory */
  #vectorsMade(): LlamaVectors {
    return (this.#vectors ??= new LlamaVectors(this.#shared.native, this.weights, { ...this.#common, tokensMax: this.contextTokensMax }));
  }

  /** Embeds one text under an adapter by its key, in portions (`LlamaVectors.embed`). The model must have been opened for vectors. @throws {TandemError} engine_out_of_memory */
  embed(tokens: readonly number[], adapter: string): Generator<undefined, Float32Array> {
    const vectors = this.#vectorsMade();
    const { pointer, scale } = this.#adapters.get(adapter) ?? none;
    vectors.useAdapter(pointer, scale);
    return vectors.embed(tokens);
  }

  /** What the main thread is told of it. */
  get opened(): OpenedModel {
    const { weights, vocabulary } = this;
    const { native } = this.#shared;
    const template = weights.text('tokenizer.chat_template');
    return {
      handle: this.handle,
      contextTokensMax: this.contextTokensMax,
      vocabularySize: vocabulary.size,
      vocabularyHash: vocabulary.hash,
      specialTexts: vocabulary.specialTexts,
      ...(template === undefined ? {} : { chatTemplate: template }),
      beginText: vocabulary.beginText,
      endText: vocabulary.endText,
      bytesPerTokenMax: vocabulary.bytesPerTokenMax,
      addsBegin: vocabulary.addsBegin,
      ...(this.#settings.embeddings ? { embeddingDimensions: native.embeddingSize(weights.pointer) } : {}),
      writes: native.hasDecoder(weights.pointer),
      rollsBack: this.rollsBack,
      parameters: Number(native.parameters(weights.pointer)),
      defaults: weights.defaults,
    };
  }

  /** Frees everything. */
  free(): void {
    this.#vectors?.free();
    this.store.clear();
    this.context.free();
    this.#freeAdapters();
    this.#shared.weights.release(this.weights);
  }

  /** Memory for every request at once, but no more than an eighth of the machine's, and at least for one. */
  #memory(native: Native, layout: MemoryLayout, requests: number): { readonly cells: number; readonly sequences: number; readonly requests: number } {
    const model = this.weights.pointer;
    const { key, value } = this.weights.heads;
    const bytesPerCell = Math.max(1, 2 * native.layers(model) * native.keyHeads(model) * (key + value));
    const tokens = Math.ceil(this.contextTokensMax / cellsBlock) * cellsBlock;
    const fit = Math.max(1, Math.floor(totalmem() / 8 / bytesPerCell / tokens));
    if (layout === 'together') return { cells: tokens * Math.min(requests, fit), sequences: sequencesTogether, requests };
    const sequences = Math.min(this.rollsBack ? requests + sequencesSpare : requests, fit);
    return { cells: tokens * sequences, sequences, requests: Math.min(requests, sequences) };
  }
}
