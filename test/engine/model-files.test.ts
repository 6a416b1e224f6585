/** Model and adapter files over which the native library would end the process: refused by name before it sees them. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openLlamaModel, type LlamaSettings } from '../../src/models/llama/index.ts';
import { checkModel } from '../../src/models/llama/file-checks.ts';
import { readGguf } from '../../src/models/llama/gguf.ts';
import { headLengths } from '../../src/models/llama/weights.ts';
import type { Model } from '../../src/models/port.ts';
import { ask, says } from '../conformance/asking.ts';
import { settingsOf, testContext } from '../conformance/settings.ts';
import { tinyAdapter, tinyModel, writeTinyModel, type Change, type Tensor, type Value } from './tiny-model.ts';

const folder = mkdtempSync(join(tmpdir(), 'tandem-files-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const open = (file: string, more: Partial<LlamaSettings> = {}): Promise<Model<'device'>> => openLlamaModel('it', { ...settingsOf({ engine: 'llama', file }), ...more }, testContext());
const number = (value: number): Value => ({ type: 'uint32', value });
const set = (key: string, value: Value): Change => (metadata) => void (metadata[key] = value);
const type = (name: string, kind: number): Change => (_, tensors) => void ((tensors.find((tensor) => tensor.name === name) as Tensor).type = kind);
const pieces = (change: (all: string[]) => void): Change => (metadata) => {
  const tokens = metadata['tokenizer.ggml.tokens'] as Extract<Value, { type: 'strings' }>;
  const all = [...tokens.value];
  change(all);
  metadata['tokenizer.ggml.tokens'] = { type: 'strings', value: all };
};

const models: Readonly<Record<string, readonly [Change, RegExp]>> = {
  'experts and none used': [set('llama.expert_count', number(4)), /expert_used_count/],
  'experts used and none there': [set('llama.expert_used_count', number(5)), /expert_used_count/],
  'more experts than there is room for': [set('llama.expert_count', number(100_000)), /expert/],
  'groups of no experts': [set('llama.expert_group_count', number(2)), /expert_group_count/],
  'no layers': [set('llama.block_count', number(0)), /block_count/],
  'more layers than there is room for': [set('llama.block_count', number(9999)), /block_count/],
  'heads of an odd length': [(metadata) => {
    metadata['llama.attention.head_count'] = number(64);
    delete metadata['llama.rope.dimension_count'];
  }, /head_count/],
  'a constant that is no number': [set('llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: NaN }), /epsilon/],
  'a constant below 0': [set('llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: -1 }), /epsilon/],
  'an unknown way of scaling': [set('llama.rope.scaling.type', { type: 'string', value: 'odd' }), /rope.scaling.type/],
  'an unknown way of pooling': [set('llama.pooling_type', number(77)), /pooling_type/],
  'vectors longer than anything in the file': [set('llama.embedding_length_out', number(100_000)), /embedding_length_out/],
  'pieces twice': [pieces((all) => all.fill('A', 200)), /twice/],
  'a byte piece that names none': [(metadata) => {
    const types = metadata['tokenizer.ggml.token_type'] as Extract<Value, { type: 'int32s' }>;
    metadata['tokenizer.ggml.token_type'] = { type: 'int32s', value: types.value.map((one, id) => (id === 9 ? 6 : one)) };
  }, /piece 9/],
  'a tokenizer without bytes': [(metadata) => {
    metadata['tokenizer.ggml.model'] = { type: 'string', value: 'llama' };
  }, /byte/],
  'integers to be multiplied': [type('blk.0.attn_q.weight', 26), /attn_q/],
  'integers as the output': [type('output.weight', 26), /output/],
  'integers to be added': [type('blk.1.ffn_norm.weight', 26), /ffn_norm/],
};

for (const [name, [change, message]] of Object.entries(models)) {
  test(`a model file with ${name} is refused`, async () => {
    await assert.rejects(open(writeTinyModel(join(folder, 'model.gguf'), { change })), (error: Error & { code?: string }) => /^model_(file_invalid|unsupported)$/.test(error.code ?? '') && message.test(error.message));
  });
}

const adapters: Readonly<Record<string, readonly [Change, RegExp]>> = {
  'a text as its strength': [set('adapter.lora.alpha', { type: 'string', value: 'x' }), /alpha/],
  'an integer as its strength': [set('adapter.lora.alpha', number(2)), /alpha/],
  'a number as its kind': [set('adapter.type', number(2)), /adapter.type/],
  'integers on one side': [type('blk.0.attn_output.weight.lora_a', 26), /lora_a/],
  'integers on the other side': [type('blk.1.attn_output.weight.lora_b', 26), /lora_b/],
};

for (const [name, [change, message]] of Object.entries(adapters)) {
  test(`an adapter file with ${name} is refused`, async () => {
    const file = join(folder, 'adapter.gguf');
    writeFileSync(file, tinyAdapter({ strength: 1, change }));
    const model = writeTinyModel(join(folder, 'base.gguf'));
    await assert.rejects(open(model, { adapters: { a: { file, scale: 1 } } }), (error: Error & { code?: string }) => error.code === 'model_file_invalid' && message.test(error.message));
  });
}

test('an end token beyond the vocabulary is none', async () => {
  const opened = await open(writeTinyModel(join(folder, 'end.gguf'), { change: set('tokenizer.ggml.eos_token_id', number(5000)) }));
  assert.ok((await ask(opened, says('hello'), { temperature: 0, tokensMax: 3 })).usage.completionTokens > 0);
  await opened.close();
});

test('lists of numbers, tables of integers and empty pieces are in order', () => {
  const change: Change = (metadata, tensors) => {
    metadata['llama.attention.head_count'] = { type: 'int32s', value: [0, 1] };
    metadata['llama.expert_count'] = number(8);
    metadata['llama.expert_used_count'] = { type: 'int32s', value: [2, 4] };
    pieces((all) => void (all[7] = all[8] = ''))(metadata, tensors);
    tensors.push({ name: 'blk.0.ffn_gate_tid2eid.weight', shape: [2, 4], data: new Float32Array(8), type: 26 });
  };
  const file = join(folder, 'good.gguf');
  writeFileSync(file, tinyModel({ change }));
  checkModel(readGguf(file));
});

test('heads have the lengths that the file names, else an even share of the width', () => {
  const header = (fields: Record<string, number>): { metadata: Map<string, string | number> } => ({ metadata: new Map<string, string | number>([['general.architecture', 'x'], ...Object.entries(fields).map(([key, value]) => [`x.${key}`, value] as const)]) });
  assert.deepEqual(headLengths(header({}), 512, 8), { key: 64, value: 64 });
  assert.deepEqual(headLengths(header({ embedding_length: 1024 }), 512, 16), { key: 64, value: 64 });
  assert.deepEqual(headLengths(header({ embedding_length: 1024, 'attention.key_length': 128, 'attention.value_length': 96 }), 512, 16), { key: 128, value: 96 });
  assert.deepEqual(headLengths(header({ embedding_length: 64 }), 64, 0), { key: 64, value: 64 });
});
