/**
 * Model files in memory: once for each file however many members use it, freed with the last of them. A file is mapped; on a processor a small one is
 * read instead where that gives it huge pages (`huge-pages.ts`).
 *
 * Headers are checked before native code sees a file.
 */
import { fail } from '../../errors.ts';
import type { ShapeSettings } from '../../decoding/settings.ts';
import type { Native, Pointer } from './bindings.ts';
import { checkAdapter, checkModel, checkPart } from './file-checks.ts';
import { readGguf, type GgufHeader } from './gguf.ts';
import { getsHugePages, withHugePages } from './huge-pages.ts';
import { LlamaVocabulary } from './vocabulary.ts';

/** Numbers that a head's key and value have. */
export interface HeadLengths {
  readonly key: number;
  readonly value: number;
}

/** The lengths that the file names, else an even share of the width. @param width of the states, where the file does not say @param heads of a layer */
export function headLengths({ metadata }: Pick<GgufHeader, 'metadata'>, width: number, heads: number): HeadLengths {
  const number = (key: string): number | undefined => {
    const value = metadata.get(`${metadata.get('general.architecture')}.${key}`);
    return typeof value === 'number' && value > 0 ? value : undefined;
  };
  const share = Math.floor((number('embedding_length') ?? width) / Math.max(1, heads));
  return { key: number('attention.key_length') ?? share, value: number('attention.value_length') ?? share };
}

/** A model file in memory. */
export class Weights {
  readonly pointer: Pointer;
  readonly header: GgufHeader;
  readonly vocabulary: LlamaVocabulary;
  /** Numbers that a head's key and value have. */
  readonly heads: HeadLengths;
  /** Whether attention runs on the processor with keys whose length is no multiple of 64 (but of 32, the length of an 8-bit block). */
  readonly slowHalfFloats: boolean;
  readonly #native: Native;
  users = 0;

  constructor(native: Native, pointer: Pointer, header: GgufHeader, gpuLayers: number) {
    this.#native = native;
    this.heads = headLengths(header, native.embeddingSize(pointer), native.heads(pointer));
    this.slowHalfFloats = gpuLayers === 0 && this.heads.key % 64 === 32 && native.hasDecoder(pointer);
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
    checkAdapter(readGguf(path));
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

/** How the library brings a file into memory (`llama_load_mode`); by default it maps it where it can. */
const loadMode = { read: 0 } as const;

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
    const header = checkedHeader(path);
    const architecture = header.metadata.get('general.architecture');
    const unsplit = Number(header.metadata.get('split.count') ?? 1) === 1;
    const read = gpuLayers === 0 && unsplit && getsHugePages(this.#native, header.fileBytes);
    const params = { ...this.#native.modelDefaults(), n_gpu_layers: gpuLayers, ...(read ? { load_mode: loadMode.read } : {}) };
    const { value, errors } = withHugePages(this.#native, () => this.#native.watched(() => this.#native.modelLoad(path, params)));
    if (value) return new Weights(this.#native, value, header, gpuLayers);
    const cause = errors.join('\n');
    if (/unknown model architecture|unknown pre-tokenizer|unsupported|vocab/i.test(cause)) fail('model_unsupported', { message: `The engine cannot run the architecture "${architecture}" of this file.`, cause });
    return fail(/alloc|memory/i.test(cause) ? 'engine_out_of_memory' : 'model_file_invalid', { message: `The engine cannot load this file of the architecture "${architecture}".`, cause });
  }
}

/** The header of a model's file, once it and the further files of a split model were checked. */
function checkedHeader(path: string): GgufHeader {
  const file = readGguf(path);
  checkModel(file);
  const parts = Number(file.header.metadata.get('split.count') ?? 1);
  const [, stem, count] = /^(.*)-00001-of-(\d{5})\.gguf$/.exec(path) ?? [];
  if (stem !== undefined && Number(count) === parts) for (let part = 2; part <= parts; part++) checkPart(readGguf(`${stem}-${String(part).padStart(5, '0')}-of-${count}.gguf`));
  return file.header;
}
