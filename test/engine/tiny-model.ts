/** Writes small GGUF files with made-up weights: a Llama model over bytes, and LoRA adapters for it. So engine tests need no trained weights. */
import { writeFileSync } from 'node:fs';
import { seededRandom } from '../../src/system/random.ts';

/** Shape of a made-up model. */
export interface TinyShape {
  readonly layers?: number;
  readonly width?: number;
  readonly heads?: number;
  readonly context?: number;
  readonly seed?: number;
  readonly architecture?: string;
  readonly chatTemplate?: string;
  /** Changes what is written, for files with mistakes. */
  readonly change?: Change;
}

/** Changes metadata and tensors before they are written. */
export type Change = (metadata: Record<string, Value>, tensors: Tensor[]) => void;

/** A metadata value. */
export type Value = { readonly type: 'string'; readonly value: string } | { readonly type: 'uint32'; readonly value: number } | { readonly type: 'float32'; readonly value: number } | { readonly type: 'bool'; readonly value: boolean } | { readonly type: 'strings'; readonly value: readonly string[] } | { readonly type: 'int32s'; readonly value: readonly number[] };

/** A tensor to be written. */
export interface Tensor {
  name: string;
  /** Innermost dimension first, as GGUF counts. */
  shape: readonly number[];
  data: Float32Array;
  /** ggml's number of its type; its data are as long as 32-bit floats whatever the type. Default 0, 32-bit floats. */
  type?: number;
}

const chatMl = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
const specials = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];

/** The 256 stand-ins for bytes of byte-level tokenizers (GPT-2). */
function byteLetters(): string[] {
  const printable = (byte: number): boolean => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let extra = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : extra++));
}

/** Pieces of the made-up vocabulary: 3 control tokens, then the bytes. */
export const tinyVocabularySize = specials.length + 256;

/** The bytes of a made-up model. */
export function tinyModel(shape: TinyShape = {}): Buffer {
  const { layers = 2, width = 64, heads = 1, context = 512, seed = 1, architecture = 'llama', chatTemplate = chatMl, change } = shape;
  const { next } = seededRandom(seed);
  const random = (size: number, scale: number): Float32Array => Float32Array.from({ length: size }, () => (next() - 0.5) * 2 * scale);
  const ones = (size: number): Float32Array => new Float32Array(size).fill(1);
  const hidden = 2 * width;
  const scale = 1.5 / Math.sqrt(width);
  const tensors: Tensor[] = [
    { name: 'token_embd.weight', shape: [width, tinyVocabularySize], data: random(width * tinyVocabularySize, 1) },
    { name: 'output_norm.weight', shape: [width], data: ones(width) },
    { name: 'output.weight', shape: [width, tinyVocabularySize], data: random(width * tinyVocabularySize, 3 * scale) },
  ];
  for (let layer = 0; layer < layers; layer++) {
    const add = (name: string, dimensions: readonly number[], data: Float32Array): void => void tensors.push({ name: `blk.${layer}.${name}.weight`, shape: dimensions, data });
    add('attn_norm', [width], ones(width));
    for (const name of ['attn_q', 'attn_k', 'attn_v', 'attn_output']) add(name, [width, width], random(width * width, scale));
    add('ffn_norm', [width], ones(width));
    add('ffn_gate', [width, hidden], random(width * hidden, scale));
    add('ffn_up', [width, hidden], random(width * hidden, scale));
    add('ffn_down', [hidden, width], random(width * hidden, scale));
  }
  const metadata: Record<string, Value> = {
    'general.architecture': { type: 'string', value: architecture },
    'general.name': { type: 'string', value: 'made up' },
    [`${architecture}.context_length`]: { type: 'uint32', value: context },
    [`${architecture}.embedding_length`]: { type: 'uint32', value: width },
    [`${architecture}.block_count`]: { type: 'uint32', value: layers },
    [`${architecture}.feed_forward_length`]: { type: 'uint32', value: hidden },
    [`${architecture}.attention.head_count`]: { type: 'uint32', value: heads },
    [`${architecture}.attention.layer_norm_rms_epsilon`]: { type: 'float32', value: 1e-5 },
    [`${architecture}.rope.dimension_count`]: { type: 'uint32', value: width / heads },
    'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
    'tokenizer.ggml.pre': { type: 'string', value: 'gpt-2' },
    'tokenizer.ggml.tokens': { type: 'strings', value: [...specials, ...byteLetters()] },
    'tokenizer.ggml.token_type': { type: 'int32s', value: Array.from({ length: tinyVocabularySize }, (_, id) => (id < specials.length ? 3 : 1)) },
    'tokenizer.ggml.merges': { type: 'strings', value: [] },
    'tokenizer.ggml.bos_token_id': { type: 'uint32', value: 0 },
    'tokenizer.ggml.eos_token_id': { type: 'uint32', value: 2 },
    'tokenizer.ggml.add_bos_token': { type: 'bool', value: false },
    'tokenizer.chat_template': { type: 'string', value: chatTemplate },
  };
  change?.(metadata, tensors);
  return gguf(metadata, tensors);
}

/** Makes a made-up model a recurrent one (Mamba), whose sequences cannot be cut back. For the default width and number of layers. */
export const recurrent: Change = (metadata, tensors) => {
  const [width, layers, inner, state, rank, kernel] = [64, 2, 128, 16, 4, 4];
  for (const key of Object.keys(metadata)) if (key.startsWith('llama.')) delete metadata[key];
  const numbers = { context_length: 16_384, embedding_length: width, block_count: layers, feed_forward_length: 0, 'attention.head_count': 0, 'ssm.conv_kernel': kernel, 'ssm.inner_size': inner, 'ssm.state_size': state, 'ssm.time_step_rank': rank };
  for (const [key, value] of Object.entries(numbers)) metadata[`mamba.${key}`] = { type: 'uint32', value };
  metadata['mamba.attention.layer_norm_rms_epsilon'] = { type: 'float32', value: 1e-5 };
  metadata['general.architecture'] = { type: 'string', value: 'mamba' };
  const { next } = seededRandom(3);
  tensors.length = 3; // pieces and outputs
  for (let layer = 0; layer < layers; layer++) {
    const add = (name: string, shape: readonly number[], value: () => number): void => void tensors.push({ name: `blk.${layer}.${name}`, shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, value) });
    const random = (scale: number) => (): number => (next() - 0.5) * 2 * scale;
    add('attn_norm.weight', [width], () => 1);
    add('ssm_in.weight', [width, 2 * inner], random(0.2));
    add('ssm_conv1d.weight', [kernel, inner], random(0.5));
    add('ssm_conv1d.bias', [inner], random(0.1));
    add('ssm_x.weight', [inner, rank + 2 * state], random(0.3));
    add('ssm_dt.weight', [rank, inner], random(0.3));
    add('ssm_dt.bias', [inner], random(0.5));
    add('ssm_a', [state, inner], () => -0.05 - next() * 0.3);
    add('ssm_d', [inner], random(1));
    add('ssm_out.weight', [inner, width], random(0.3));
  }
};

/** The bytes of a LoRA adapter for a made-up model: rank 2 on the output projections. @param strength of its change */
export function tinyAdapter(shape: Pick<TinyShape, 'layers' | 'width' | 'seed' | 'change'> & { readonly strength: number }): Buffer {
  const { layers = 2, width = 64, seed = 9, strength, change } = shape;
  const { next } = seededRandom(seed);
  const rank = 2;
  const random = (size: number): Float32Array => Float32Array.from({ length: size }, () => (next() - 0.5) * strength);
  const tensors: Tensor[] = [];
  for (let layer = 0; layer < layers; layer++) {
    tensors.push({ name: `blk.${layer}.attn_output.weight.lora_a`, shape: [width, rank], data: random(width * rank) });
    tensors.push({ name: `blk.${layer}.attn_output.weight.lora_b`, shape: [rank, width], data: random(width * rank) });
  }
  const metadata: Record<string, Value> = {
    'general.architecture': { type: 'string', value: 'llama' },
    'general.type': { type: 'string', value: 'adapter' },
    'adapter.type': { type: 'string', value: 'lora' },
    'adapter.lora.alpha': { type: 'float32', value: rank },
  };
  change?.(metadata, tensors);
  return gguf(metadata, tensors);
}

/** Writes a made-up model and gives its path. */
export function writeTinyModel(path: string, shape: TinyShape = {}): string {
  writeFileSync(path, tinyModel(shape));
  return path;
}

function gguf(metadata: Readonly<Record<string, Value>>, tensors: readonly Tensor[]): Buffer {
  const alignment = 32;
  const parts: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(Object.keys(metadata).length)];
  for (const [key, value] of Object.entries(metadata)) parts.push(text(key), valueOf(value));
  let offset = 0;
  for (const { name, shape, data, type = 0 } of tensors) {
    parts.push(text(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset));
    offset += Math.ceil(data.byteLength / alignment) * alignment;
  }
  const header = Buffer.concat(parts);
  const body = tensors.map(({ data }) => padded(Buffer.from(data.buffer, data.byteOffset, data.byteLength), alignment));
  return Buffer.concat([padded(header, alignment), ...body]);
}

function valueOf(value: Value): Buffer {
  switch (value.type) {
    case 'string': return Buffer.concat([u32(8), text(value.value)]);
    case 'uint32': return Buffer.concat([u32(4), u32(value.value)]);
    case 'bool': return Buffer.concat([u32(7), Buffer.of(value.value ? 1 : 0)]);
    case 'float32': {
      const bytes = Buffer.alloc(4);
      bytes.writeFloatLE(value.value);
      return Buffer.concat([u32(6), bytes]);
    }
    case 'strings': return Buffer.concat([u32(9), u32(8), u64(value.value.length), ...value.value.map(text)]);
    case 'int32s': return Buffer.concat([u32(9), u32(5), u64(value.value.length), ...value.value.map(u32)]);
  }
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function padded(bytes: Buffer, alignment: number): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((alignment - (bytes.length % alignment)) % alignment)]);
}
