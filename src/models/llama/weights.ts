/**
 * Model files in memory: mapped once for each file however many members use it, freed with the last of them.
 *
 * The header is checked before native code sees the file.
 */
import { fail } from '../../errors.ts';
import type { ShapeSettings } from '../../decoding/settings.ts';
import type { Native, Pointer } from './bindings.ts';
import { readGgufHeader, type GgufHeader } from './gguf.ts';
import { withHugePages } from './huge-pages.ts';
import { LlamaVocabulary } from './vocabulary.ts';

/** A model file in memory. */
export class Weights {
  readonly pointer: Pointer;
  readonly header: GgufHeader;
  readonly vocabulary: LlamaVocabulary;
  /** Whether attention runs on the processor with heads whose length is no multiple of 64 (but of 32, the length of an 8-bit block). */
  readonly slowHalfFloats: boolean;
  readonly #native: Native;
  users = 0;

  constructor(native: Native, pointer: Pointer, header: GgufHeader, gpuLayers: number) {
    this.#native = native;
    const headLength = native.embeddingSize(pointer) / Math.max(1, native.heads(pointer));
    this.slowHalfFloats = gpuLayers === 0 && headLength % 64 === 32 && native.hasDecoder(pointer);
    this.pointer = pointer;
    this.header = header;
    this.vocabulary = new LlamaVocabulary(native, pointer);
  }

  /** A metadata text, or undefined. */
  text(key: string): string | undefined {
    const value = this.header.metadata.get(key);
    return typeof value === 'string' ? value : undefined;
  }

  /** Sampling settings that the file recommends (`general.sampling.*`). */
  get defaults(): Partial<ShapeSettings> {
    const number = (key: string): number | undefined => {
      const value = this.header.metadata.get(`general.sampling.${key}`);
      return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
    };
    const found = { temperature: number('temp'), topK: number('top_k'), topP: number('top_p'), minP: number('min_p'), repetitionPenalty: number('penalty_repeat') };
    return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
  }

  /** Loads a LoRA adapter of this model; pair it with `freeAdapter`, or free the model. @throws {TandemError} model_file_missing, model_file_invalid, model_unsupported */
  adapter(path: string): Pointer {
    const header = readGgufHeader(path);
    if (header.metadata.get('general.type') !== 'adapter') fail('model_unsupported', 'The adapter file is not a GGUF adapter (general.type).');
    const { value, errors } = this.#native.watched(() => this.#native.adapterLoad(this.pointer, path));
    if (!value) fail('model_unsupported', { message: 'The adapter does not fit the model.', cause: errors.join('\n') });
    return value;
  }

  /** Frees an adapter; no context may have it applied. */
  freeAdapter(adapter: Pointer): void {
    this.#native.adapterFree(adapter);
  }

  /** Frees the model. */
  free(): void {
    this.#native.modelFree(this.pointer);
  }
}

/** The open model files of the engine thread. */
export class WeightsCache {
  readonly #native: Native;
  readonly #open = new Map<string, Weights>();

  constructor(native: Native) {
    this.#native = native;
  }

  /** Model files in memory. */
  get size(): number {
    return this.#open.size;
  }

  /** Opens a file, or shares it. Pair each call with `release`. @throws {TandemError} model_file_missing, model_file_invalid, model_unsupported */
  acquire(path: string, gpuLayers: number): Weights {
    const key = `${gpuLayers}:${path}`;
    const weights = this.#open.get(key) ?? this.#load(path, gpuLayers);
    this.#open.set(key, weights);
    weights.users++;
    return weights;
  }

  /** Gives a file back; frees it with its last user. */
  release(weights: Weights): void {
    if (--weights.users > 0) return;
    for (const [key, candidate] of this.#open) if (candidate === weights) this.#open.delete(key);
    weights.free();
  }

  #load(path: string, gpuLayers: number): Weights {
    const header = readGgufHeader(path);
    const architecture = header.metadata.get('general.architecture');
    if (typeof architecture !== 'string') fail('model_file_invalid', 'The file names no architecture (general.architecture).');
    if (header.metadata.get('general.type') === 'adapter') fail('model_unsupported', 'The file is an adapter, not a model.');
    const params = { ...this.#native.modelDefaults(), n_gpu_layers: gpuLayers };
    const { value, errors } = withHugePages(this.#native, () => this.#native.watched(() => this.#native.modelLoad(path, params)));
    if (value) return new Weights(this.#native, value, header, gpuLayers);
    const cause = errors.join('\n');
    if (/unknown model architecture|unknown pre-tokenizer|unsupported|vocab/i.test(cause)) fail('model_unsupported', { message: `The engine cannot run the architecture "${architecture}" of this file.`, cause });
    return fail(/alloc|memory/i.test(cause) ? 'engine_out_of_memory' : 'model_file_invalid', { message: `The engine cannot load this file of the architecture "${architecture}".`, cause });
  }
}
