/**
 * Every binding to llama.cpp, for the version that `platform.ts` pins (its `include/llama.h`). Nothing else calls native code.
 *
 * The layout of the structs that are passed by value is checked at load against the sizes of the header and against the
 * defaults that the library itself gives, so a library of another version is refused rather than misread. Pointers are `bigint`.
 *
 * Native logs are dropped, except while a model or context is made: then lines at level error are kept (`lastErrors`), and
 * only as many as help to say what is wrong. Text of prompts never reaches the log.
 */
import { findNativeFiles, libraryVersion, packageVersion, type NativeFiles } from './platform.ts';
import { fail, TandemError } from '../../errors.ts';

type Koffi = typeof import('koffi').default;

/** Address in native memory; 0n is null. */
export type Pointer = bigint;

/** A struct that is passed by value. */
export type Struct = Record<string, number | boolean | bigint | null>;

/**
 * `llama_batch` by value, as the seven words that it is: `n_tokens`, then the addresses `token`, `embd`, `pos`, `n_seq_id`, `seq_id`
 * and `logits`. One array crosses into native code in a fraction of the time that seven members take.
 */
export interface BatchStruct {
  readonly words: BigUint64Array;
}

/** What `decode` takes for a batch: where it lies, or the batch itself. */
export type BatchArgument = Pointer | BatchStruct;

const modelParams = {
  devices: 'void *', tensor_buft_overrides: 'void *', n_gpu_layers: 'int32_t', split_mode: 'int32_t', load_mode: 'int32_t', lazy_mode: 'int32_t', main_gpu: 'int32_t',
  tensor_split: 'void *', progress_callback: 'void *', progress_callback_user_data: 'void *', kv_overrides: 'void *',
  vocab_only: 'bool', check_tensors: 'bool', use_extra_bufts: 'bool', no_host: 'bool', no_alloc: 'bool', load_mtp: 'bool',
} as const;

const contextParams = {
  n_ctx: 'uint32_t', n_batch: 'uint32_t', n_ubatch: 'uint32_t', n_seq_max: 'uint32_t', n_rs_seq: 'uint32_t', n_outputs_max: 'uint32_t', n_outputs_max_per_seq: 'uint32_t',
  n_threads: 'int32_t', n_threads_batch: 'int32_t',
  ctx_type: 'int32_t', rope_scaling_type: 'int32_t', pooling_type: 'int32_t', attention_type: 'int32_t', flash_attn_type: 'int32_t',
  rope_freq_base: 'float', rope_freq_scale: 'float', yarn_ext_factor: 'float', yarn_attn_factor: 'float', yarn_beta_fast: 'float', yarn_beta_slow: 'float',
  yarn_orig_ctx: 'uint32_t', defrag_thold: 'float', cb_eval: 'void *', cb_eval_user_data: 'void *', type_k: 'int32_t', type_v: 'int32_t',
  abort_callback: 'void *', abort_callback_data: 'void *',
  embeddings: 'bool', offload_kqv: 'bool', no_perf: 'bool', op_offload: 'bool', swa_full: 'bool', kv_unified: 'bool',
  samplers: 'void *', n_samplers: 'size_t', ctx_other: 'void *',
} as const;

const batch = { words: 'uint64_t [7]' } as const;
const threadpoolParams = { cpumask: 'uint8_t [512]', n_threads: 'int', prio: 'int', poll: 'uint32_t', strict_cpu: 'bool', paused: 'bool' } as const;

/** Sizes in bytes on 64-bit machines, and defaults near the end of each struct. */
const layouts = {
  llama_model_params: { size: 80, defaults: { n_gpu_layers: -1, split_mode: 1, load_mode: -1, lazy_mode: 1, use_extra_bufts: true, load_mtp: false } },
  llama_context_params: { size: 160, defaults: { n_ctx: 512, n_batch: 2048, n_ubatch: 512, n_seq_max: 1, n_outputs_max_per_seq: 1, rope_scaling_type: -1, yarn_ext_factor: -1, type_k: 1, type_v: 1, no_perf: true, swa_full: true, kv_unified: false } },
} as const;

/** The functions, typed. Names are those of the header. */
export interface Native {
  readonly files: NativeFiles;
  readonly modelDefaults: () => Struct;
  readonly contextDefaults: () => Struct;
  readonly modelLoad: (path: string, params: Struct) => Pointer;
  readonly modelFree: (model: Pointer) => void;
  readonly contextInit: (model: Pointer, params: Struct) => Pointer;
  readonly contextFree: (context: Pointer) => void;
  readonly vocabOf: (model: Pointer) => Pointer;
  readonly memoryOf: (context: Pointer) => Pointer;
  readonly contextSize: (context: Pointer) => number;
  readonly poolingType: (context: Pointer) => number;
  readonly trainedContext: (model: Pointer) => number;
  readonly parameters: (model: Pointer) => number | bigint;
  readonly embeddingSize: (model: Pointer) => number;
  readonly layers: (model: Pointer) => number;
  readonly heads: (model: Pointer) => number;
  readonly keyHeads: (model: Pointer) => number;
  readonly isRecurrent: (model: Pointer) => boolean;
  readonly isHybrid: (model: Pointer) => boolean;
  readonly hasEncoder: (model: Pointer) => boolean;
  readonly hasDecoder: (model: Pointer) => boolean;
  readonly vocabSize: (vocab: Pointer) => number;
  /** Kind of the tokenizer: 1 SentencePiece, 2 byte-level BPE, 3 WordPiece, 4 Unigram, and others. */
  readonly vocabType: (vocab: Pointer) => number;
  readonly isEnd: (vocab: Pointer, token: number) => boolean;
  readonly attributes: (vocab: Pointer, token: number) => number;
  readonly addsBegin: (vocab: Pointer) => boolean;
  readonly begin: (vocab: Pointer) => number;
  /** The token that ends a text, -1 without one. */
  readonly end: (vocab: Pointer) => number;
  readonly tokenize: (vocab: Pointer, text: Uint8Array, length: number, out: Int32Array, outMax: number, addSpecial: boolean, parseSpecial: boolean) => number;
  readonly pieceOf: (vocab: Pointer, token: number, out: Uint8Array, outMax: number, strip: number, special: boolean) => number;
  readonly decode: (context: Pointer, batch: BatchArgument) => number;
  /** What `decode` takes for this batch. Its words must lie in shared memory, which never moves. */
  readonly decodable: (batch: BatchStruct) => BatchArgument;
  readonly encode: (context: Pointer, batch: BatchStruct) => number;
  readonly logits: (context: Pointer) => Pointer;
  /** Whether a batch is computed when `decode` returns. Where a GPU takes part, only `logits` waits for it. */
  readonly waits: boolean;
  readonly embeddingAt: (context: Pointer, index: number) => Pointer;
  readonly embeddingOfSequence: (context: Pointer, sequence: number) => Pointer;
  readonly sequenceRemove: (memory: Pointer, sequence: number, from: number, to: number) => boolean;
  readonly sequenceCopy: (memory: Pointer, from: number, to: number, start: number, end: number) => void;
  readonly memoryClear: (memory: Pointer, data: boolean) => void;
  readonly adapterLoad: (model: Pointer, path: string) => Pointer;
  readonly adapterFree: (adapter: Pointer) => void;
  readonly setAdapters: (context: Pointer, adapters: BigUint64Array, count: number, scales: Float32Array) => number;
  readonly setAbort: (context: Pointer, callback: Pointer, data: Pointer) => void;
  readonly attachThreadpool: (context: Pointer, pool: Pointer, batchPool: Pointer) => void;
  /** Makes a pool of threads that all contexts of this many threads share; 0n where the backend has none. */
  readonly newThreadpool: (threads: number) => Pointer;
  readonly freeThreadpool: (pool: Pointer) => void;
  /** Native memory as bytes, without a copy. */
  readonly view: (pointer: Pointer, bytes: number) => ArrayBuffer;
  /** Where the memory of a typed array over a SharedArrayBuffer lies; it never moves. */
  readonly address: (array: Int32Array | Int8Array | BigUint64Array | Uint8Array | Float32Array) => Pointer;
  /** Advice to the kernel about a stretch of memory (`madvise` of Linux): 0 where it was taken. Undefined on other systems. */
  readonly madvise: ((address: number, bytes: number, advice: number) => number) | undefined;
  /** A native function that is true while the byte at its argument is not 0: lets another thread stop a computation. */
  readonly flagIsSet: Pointer;
  /** Runs something that may log, and keeps the error lines. */
  readonly watched: <T>(work: () => T) => { readonly value: T; readonly errors: readonly string[] };
}

/** Makes a pointer of null. */
export const nothing: Pointer = 0n;

/**
 * Loads the libraries and their best CPU build.
 * @param gpu prefer a GPU build
 * @throws {TandemError} engine_unavailable
 */
export async function loadNative(gpu: boolean): Promise<Native> {
  const files = findNativeFiles(gpu);
  let koffi: Koffi;
  try {
    koffi = (await import('koffi')).default;
  } catch (cause) {
    return fail('engine_unavailable', { message: 'The package koffi, which binds the engine, cannot be loaded on this machine.', cause });
  }
  try {
    return bind(koffi, files);
  } catch (cause) {
    if (TandemError.is(cause)) throw cause;
    return fail('engine_unavailable', { message: `The libraries of ${files.packageName} cannot be loaded; the package must be ${packageVersion}.`, cause });
  }
}

function bind(koffi: Koffi, files: NativeFiles): Native {
  koffi.reset(); // type names are per process; a second load must be able to define them again
  const base = koffi.load(files.ggmlBase);
  const ggml = koffi.load(files.ggml);
  const llama = koffi.load(files.llama);
  const fn = <F>(definition: string, library = llama): F => library.func(definition) as unknown as F;
  const version = fn<() => string>('const char *llama_version()')();
  if (version !== libraryVersion) fail('engine_unavailable', `Expected llama.cpp ${libraryVersion}, got ${version}; install ${files.packageName}@${packageVersion}.`);

  koffi.struct('llama_model_params', modelParams);
  koffi.struct('llama_context_params', contextParams);
  koffi.struct('llama_batch', batch);
  koffi.struct('ggml_threadpool_params', threadpoolParams);
  const modelDefaults = fn<() => Struct>('llama_model_params llama_model_default_params()');
  const contextDefaults = fn<() => Struct>('llama_context_params llama_context_default_params()');
  checkLayout('llama_model_params', koffi.sizeof('llama_model_params'), modelDefaults());
  checkLayout('llama_context_params', koffi.sizeof('llama_context_params'), contextDefaults());

  const setLog = fn<(callback: Pointer, data: null) => void>('void llama_log_set(void *callback, void *data)');
  // a function that ignores its arguments and has no effect: native threads may call it at any time, unlike one of ours
  const silent = llama.symbol('llama_supports_mmap') as Pointer;
  setLog(silent, null);
  fn<(path: string) => void>('void ggml_backend_load_all_from_path(const char *path)', ggml)(files.folder);
  if (fn<() => number>('size_t ggml_backend_reg_count()', ggml)() === 0) fail('engine_unavailable', `No backend of ${files.packageName} runs on this processor.`);
  fn<() => void>('void llama_backend_init()')();

  const procedure = threadpoolProcedures(koffi, fn, ggml, base);
  return {
    files,
    modelDefaults,
    contextDefaults,
    modelLoad: fn('void *llama_model_load_from_file(const char *path, llama_model_params params)'),
    modelFree: fn('void llama_model_free(void *model)'),
    contextInit: fn('void *llama_init_from_model(void *model, llama_context_params params)'),
    contextFree: fn('void llama_free(void *context)'),
    vocabOf: fn('void *llama_model_get_vocab(void *model)'),
    memoryOf: fn('void *llama_get_memory(void *context)'),
    contextSize: fn('uint32_t llama_n_ctx(void *context)'),
    poolingType: fn('int32_t llama_pooling_type(void *context)'),
    trainedContext: fn('int32_t llama_model_n_ctx_train(void *model)'),
    parameters: fn('uint64_t llama_model_n_params(void *model)'),
    embeddingSize: fn('int32_t llama_model_n_embd_out(void *model)'),
    layers: fn('int32_t llama_model_n_layer(void *model)'),
    heads: fn('int32_t llama_model_n_head(void *model)'),
    keyHeads: fn('int32_t llama_model_n_head_kv(void *model)'),
    isRecurrent: fn('bool llama_model_is_recurrent(void *model)'),
    isHybrid: fn('bool llama_model_is_hybrid(void *model)'),
    hasEncoder: fn('bool llama_model_has_encoder(void *model)'),
    hasDecoder: fn('bool llama_model_has_decoder(void *model)'),
    vocabSize: fn('int32_t llama_vocab_n_tokens(void *vocab)'),
    vocabType: fn('int32_t llama_vocab_type(void *vocab)'),
    isEnd: fn('bool llama_vocab_is_eog(void *vocab, int32_t token)'),
    attributes: fn('int32_t llama_vocab_get_attr(void *vocab, int32_t token)'),
    addsBegin: fn('bool llama_vocab_get_add_bos(void *vocab)'),
    begin: fn('int32_t llama_vocab_bos(void *vocab)'),
    end: fn('int32_t llama_vocab_eos(void *vocab)'),
    tokenize: fn('int32_t llama_tokenize(void *vocab, const uint8_t *text, int32_t length, int32_t *out, int32_t out_max, bool add_special, bool parse_special)'),
    pieceOf: fn('int32_t llama_token_to_piece(void *vocab, int32_t token, uint8_t *out, int32_t out_max, int32_t strip, bool special)'),
    ...decoder(fn, (array) => koffi.address(array) as Pointer),
    encode: fn('int32_t llama_encode(void *context, llama_batch batch)'),
    logits: fn('void *llama_get_logits(void *context)'),
    waits: !fn<() => boolean>('bool llama_supports_gpu_offload()')(),
    embeddingAt: fn('void *llama_get_embeddings_ith(void *context, int32_t index)'),
    embeddingOfSequence: fn('void *llama_get_embeddings_seq(void *context, int32_t sequence)'),
    sequenceRemove: fn('bool llama_memory_seq_rm(void *memory, int32_t sequence, int32_t from, int32_t to)'),
    sequenceCopy: fn('void llama_memory_seq_cp(void *memory, int32_t from, int32_t to, int32_t start, int32_t end)'),
    memoryClear: fn('void llama_memory_clear(void *memory, bool data)'),
    adapterLoad: fn('void *llama_adapter_lora_init(void *model, const char *path)'),
    adapterFree: fn('void llama_adapter_lora_free(void *adapter)'),
    setAdapters: fn('int32_t llama_set_adapters_lora(void *context, uint64_t *adapters, size_t count, float *scales)'),
    setAbort: fn('void llama_set_abort_callback(void *context, void *callback, void *data)'),
    attachThreadpool: fn('void llama_attach_threadpool(void *context, void *pool, void *batch_pool)'),
    ...procedure,
    view: (pointer, bytes) => koffi.view(pointer, bytes),
    address: (array) => koffi.address(array) as Pointer,
    madvise: process.platform === 'linux' ? (koffi.load(null).func('int madvise(uintptr_t address, size_t bytes, int advice)') as unknown as NonNullable<Native['madvise']>) : undefined,
    flagIsSet: koffi.load(process.platform === 'win32' ? 'msvcrt.dll' : null).symbol('strlen') as Pointer,
    watched: watcher(koffi, setLog, silent),
  };
}

/**
 * `llama_decode` takes the batch by value, which koffi gathers from an object at each call, while the caches are
 * cold (`npm run bench:engine-samples`). All it does is call `llama_context::decode(const llama_batch &)`, which takes an address; where the library
 * exports that too (it does on Linux), it is called; elsewhere the struct is passed. The version was checked before.
 */
function decoder(fn: <F>(definition: string) => F, address: Native['address']): Pick<Native, 'decode' | 'decodable'> {
  try {
    return { decode: fn('int32_t _ZN13llama_context6decodeERK11llama_batch(void *context, void *batch)'), decodable: ({ words }) => address(words) };
  } catch {
    return { decode: fn('int32_t llama_decode(void *context, llama_batch batch)'), decodable: (batch) => batch };
  }
}

/** The thread pool lives in the CPU backend that was picked at load, so its functions are looked up there. */
function threadpoolProcedures(koffi: Koffi, fn: <F>(definition: string, library?: ReturnType<Koffi['load']>) => F, ggml: ReturnType<Koffi['load']>, base: ReturnType<Koffi['load']>): Pick<Native, 'newThreadpool' | 'freeThreadpool'> {
  const registry = fn<(name: string) => Pointer | null>('void *ggml_backend_reg_by_name(const char *name)', ggml)('CPU');
  const lookup = fn<(registry: Pointer, name: string) => Pointer | null>('void *ggml_backend_reg_get_proc_address(void *registry, const char *name)', base);
  const make = registry === null ? null : lookup(registry, 'ggml_threadpool_new');
  const free = registry === null ? null : lookup(registry, 'ggml_threadpool_free');
  if (make === null || free === null) return { newThreadpool: () => nothing, freeThreadpool: () => undefined };
  const defaults = fn<(threads: number) => Struct>('ggml_threadpool_params ggml_threadpool_params_default(int threads)', base);
  const makeType = koffi.proto('void *ggml_threadpool_new_fn(ggml_threadpool_params *params)');
  const freeType = koffi.proto('void ggml_threadpool_free_fn(void *pool)');
  return {
    newThreadpool: (threads) => (koffi.call(make, makeType, defaults(threads)) as Pointer | null) ?? nothing,
    freeThreadpool: (pool) => koffi.call(free, freeType, pool) as undefined,
  };
}

function checkLayout(name: keyof typeof layouts, size: number, got: Struct): void {
  const { size: expected, defaults } = layouts[name];
  const wrong = Object.entries(defaults).find(([field, value]) => got[field] !== value);
  if (size !== expected) fail('engine_unavailable', `The layout of ${name} is ${size} bytes, expected ${expected}.`);
  if (wrong !== undefined) fail('engine_unavailable', `The default of ${name}.${wrong[0]} is ${String(got[wrong[0]])}, expected ${String(wrong[1])}: the library is of another version.`);
}

function watcher(koffi: Koffi, setLog: (callback: Pointer, data: null) => void, silent: Pointer): Native['watched'] {
  const type = koffi.proto('void tandem_log(int level, const char *text, void *data)');
  const errorLevel = 4;
  const linesMax = 8;
  return (work) => {
    const errors: string[] = [];
    const listener = koffi.register((level: number, text: string) => {
      if (level === errorLevel && errors.push(text.trim()) > linesMax) errors.shift();
    }, koffi.pointer(type));
    setLog(listener, null);
    try {
      return { value: work(), errors };
    } finally {
      setLog(silent, null);
      koffi.unregister(listener);
    }
  };
}
