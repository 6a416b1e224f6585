/**
 * Checks what a model or adapter file says of itself against what the engine takes: llama.cpp ends the process over some values, and
 * computes with whatever types of numbers a file has.
 *
 * Caught: numbers of layers, experts, groups and heads that do not go together; small constants that are no numbers; names of ways that do
 * not exist; a tokenizer that has pieces twice or lacks bytes; tensors of types that the engine does not compute with. The engine itself
 * refuses what is missing and tensors of a wrong shape. Not caught: a file that is made to break the engine where the
 * architecture has rules of its own, beyond these. Use files whose origin you trust.
 */
import { fail } from '../../errors.ts';
import { pieceTypesKey, piecesKey, valueType, type GgufFile, type GgufTensor } from './gguf.ts';

/** Layers and experts that llama.cpp has room for (LLAMA_MAX_LAYERS, LLAMA_MAX_EXPERTS). */
const layersMax = 512;
const expertsMax = 1024;
const scalings = ['none', 'linear', 'yarn', 'longrope'];
/** Ways of pooling, from none to ranks. */
const poolingMax = 4;
/** ggml's numbers of types that it does not compute with: two that are for activations alone, integers, 64-bit floats. */
const uncomputable = new Set([9, 15, 24, 25, 26, 27, 28]);
const f32 = 0;
/** Tables of numbers of tokens and experts, which are integers. */
const tables = /\b(ffn_gate_tid2eid|d2t)\b/;
/** The tokenizer's number for pieces that stand for a byte. */
const bytePiece = 6;

/** @throws {TandemError} model_file_invalid, model_unsupported */
export function checkModel(file: GgufFile): void {
  const { metadata } = file.header;
  const architecture = metadata.get('general.architecture');
  if (typeof architecture !== 'string') fail('model_file_invalid', 'The file names no architecture (general.architecture).');
  if (metadata.get('general.type') === 'adapter') fail('model_unsupported', 'The file is an adapter, not a model.');
  const settings = new Settings(file, architecture);
  checkLayers(settings);
  checkExperts(settings);
  checkHeads(settings);
  checkConstants(settings, metadata.get(`${architecture}.rope.scaling.type`), file.tensors);
  checkPieces(file);
  file.tensors.forEach(checkTensor);
}

/** @throws {TandemError} model_file_invalid, model_unsupported */
export function checkAdapter({ header: { metadata }, types, tensors }: GgufFile): void {
  if (metadata.get('general.type') !== 'adapter') fail('model_unsupported', 'The adapter file is not a GGUF adapter (general.type).');
  for (const key of ['general.architecture', 'adapter.type']) {
    if (typeof metadata.get(key) !== 'string') fail('model_file_invalid', `The adapter file has no text as ${key}.`);
  }
  const alpha = 'adapter.lora.alpha';
  if (types.has(alpha) && types.get(alpha) !== valueType.float32) fail('model_file_invalid', `The adapter file has something else than a 32-bit float as ${alpha}.`);
  for (const { name, type } of tensors) if (uncomputable.has(type)) refuseType(name, type);
}

/** Checks a further file of a model that is split into several. @throws {TandemError} model_file_invalid */
export function checkPart({ tensors }: GgufFile): void {
  tensors.forEach(checkTensor);
}

/** Numbers of an architecture, by the ends of their keys. */
class Settings {
  readonly #file: GgufFile;
  readonly architecture: string;

  constructor(file: GgufFile, architecture: string) {
    this.#file = file;
    this.architecture = architecture;
  }

  /** The values of a key, one or one a layer; none where it is absent. */
  numbers(key: string): readonly number[] {
    const full = `${this.architecture}.${key}`;
    const value = this.#file.lists.get(full) ?? [this.#file.header.metadata.get(full)];
    return value.filter((one) => typeof one === 'number');
  }

  number(key: string): number | undefined {
    return this.numbers(key)[0];
  }

  refuse(key: string, expected: string): never {
    return fail('model_file_invalid', `${this.architecture}.${key}: expected ${expected}, got ${this.numbers(key).slice(0, 4).join(', ') || 'nothing'}.`);
  }
}

function checkLayers(settings: Settings): void {
  const layers = settings.number('block_count');
  if (layers === undefined) return; // the engine says so
  if (!(layers >= 1 && layers <= layersMax)) settings.refuse('block_count', `1 to ${layersMax} layers`);
  if ((settings.number('nextn_predict_layers') ?? 0) > layers) settings.refuse('nextn_predict_layers', `at most ${layers}`);
}

function checkExperts(settings: Settings): void {
  const experts = settings.number('expert_count') ?? 0;
  if (experts <= 1 && settings.architecture.startsWith('hunyuan')) return; // not looked at there
  const groups = settings.number('expert_group_count') ?? 0;
  const used = Math.max(0, ...settings.numbers('expert_used_count'));
  if (experts > expertsMax) settings.refuse('expert_count', `at most ${expertsMax}`);
  if (used > experts || (experts > 0 && used === 0)) settings.refuse('expert_used_count', experts === 0 ? 'none, as there are no experts' : `1 to ${experts}`);
  if (groups > 0 && (groups >= experts || experts % groups !== 0)) settings.refuse('expert_group_count', `a number below ${experts} that divides it`);
  const groupsUsed = settings.number('expert_group_used_count') ?? 0;
  if (groups > 1 && !(groupsUsed > 0 && groupsUsed < groups)) settings.refuse('expert_group_used_count', `1 to ${groups - 1}`);
}

/** Positions turn pairs of a head's numbers. */
function checkHeads(settings: Settings): void {
  const heads = settings.numbers('attention.head_count').find((count) => count > 0);
  if (heads === undefined) return;
  for (const key of ['rope.dimension_count', 'attention.key_length']) if ((settings.number(key) ?? 0) % 2 !== 0) settings.refuse(key, 'an even number');
  const length = settings.number('attention.key_length') ?? Math.floor((settings.number('embedding_length') ?? 0) / heads);
  if (length % 2 !== 0) settings.refuse('attention.head_count', 'heads of an even length');
}

function checkConstants(settings: Settings, scaling: unknown, tensors: readonly GgufTensor[]): void {
  for (const key of ['attention.layer_norm_rms_epsilon', 'attention.layer_norm_epsilon', 'attention.group_norm_epsilon']) {
    const epsilon = settings.number(key);
    if (epsilon !== undefined && !(epsilon >= 0 && Number.isFinite(epsilon))) settings.refuse(key, 'a number from 0 on');
  }
  if (scaling !== undefined && !scalings.includes(String(scaling))) fail('model_unsupported', `rope.scaling.type: expected one of ${scalings.join(', ')}, got another.`);
  const out = settings.number('embedding_length_out');
  if (out !== undefined && !tensors.some(({ shape }) => shape.includes(out))) settings.refuse('embedding_length_out', 'the length of a tensor');
  const pooling = settings.number('pooling_type') ?? 0;
  if (!(pooling >= 0 && pooling <= poolingMax)) settings.refuse('pooling_type', `0 to ${poolingMax}`);
}

function checkPieces({ header, lists }: GgufFile): void {
  const pieces = lists.get(piecesKey) as readonly string[] | undefined;
  if (pieces === undefined || typeof pieces[0] !== 'string') return; // the engine says so
  const all = new Set(pieces.map((piece, id) => (piece === '' ? `[EMPTY_${id}]` : piece)));
  if (all.size !== pieces.length) fail('model_file_invalid', `The tokenizer has ${pieces.length} pieces, and ${pieces.length - all.size} of them twice.`);
  const types = lists.get(pieceTypesKey) ?? [];
  const broken = types.findIndex((type, id) => type === bytePiece && !/^<0x[0-9A-F]{2}>$/.test(pieces[id] ?? ''));
  if (broken >= 0) fail('model_file_invalid', `The tokenizer's piece ${broken} is to be a byte and does not say which.`);
  if (header.metadata.get('tokenizer.ggml.model') !== 'llama') return;
  for (let byte = 0; byte < 256; byte++) {
    if (!all.has(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`) && !all.has(String.fromCharCode(byte))) fail('model_unsupported', `The tokenizer lacks a piece for the byte ${byte}, so there are texts that it cannot take.`);
  }
}

/** What is added or multiplied number by number must be in 32 bits. */
function checkTensor({ name, shape, type }: GgufTensor): void {
  if (tables.test(name)) return;
  const single = shape.length <= 1 || /norm\.(weight|bias)$|\bssm_(a|d|conv1d)\b/.test(name);
  if (uncomputable.has(type) || (single && type !== f32)) refuseType(name, type);
}

function refuseType(name: string, type: number): never {
  return fail('model_file_invalid', `The tensor "${name.slice(0, 64)}" is of the type ${type}, with which the engine cannot compute.`);
}
