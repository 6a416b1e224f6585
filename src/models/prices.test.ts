/** List prices, and how members come by them. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { parseConfig, type ConfigInput } from '../config.ts';
import { memberOf } from './load.ts';
import type { Model } from './port.ts';
import { listPriceOf, listPrices } from './prices.ts';
import type { AnyMember } from './team.ts';

test('every list price names its source and its date', () => {
  const names = listPrices.map(({ model }) => model);
  assert.equal(new Set(names).size, names.length);
  assert.ok(names.length >= 10 && names.length <= 25);
  for (const { model, source, asOf, inputUsdPerMillionTokens: input, cachedInputUsdPerMillionTokens: cached, outputUsdPerMillionTokens: output } of listPrices) {
    assert.match(source, /^https:\/\//, model);
    assert.match(asOf, /^20\d\d-\d\d-\d\d$/, model);
    assert.ok(input > 0 && output > input && (cached ?? 0) < input, model);
  }
  assert.equal(listPriceOf('Claude-Haiku-4-5-20251001')?.model, 'claude-haiku-4-5');
  assert.equal(listPriceOf('gpt-4o-latest')?.model, 'gpt-4o');
  assert.equal(listPriceOf('gpt-4.1-turbo'), undefined);
});

function made(settings: NonNullable<ConfigInput['members']>[string]): AnyMember {
  const { members } = parseConfig({ members: { m: settings } });
  const config = members['m'] as NonNullable<(typeof members)[string]>;
  return memberOf('m', config, { id: 'm', place: config.place } as unknown as Model);
}

test('a member in the cloud has its list price from the start; its own price wins; own machines are free', () => {
  const server = { engine: 'openai' as const, baseUrl: 'http://127.0.0.1:1/v1', model: 'openai/gpt-4.1-mini-2025-04-14' };
  const own = { inputUsdPerMillionTokens: 7, outputUsdPerMillionTokens: 8, asOf: '2026-01-01' };
  assert.equal(made(server).price?.outputUsdPerMillionTokens, 1.6);
  assert.equal(made({ ...server, price: own }).price?.outputUsdPerMillionTokens, 8);
  for (const place of ['edge', 'device'] as const) assert.equal(made({ ...server, place }).price, undefined);
  assert.equal(made({ ...server, model: 'nobody-lists-me' }).price, undefined);
  assert.equal(made({ engine: 'ai-sdk', model: { doStream: () => undefined, modelId: 'gpt-4o' } }).price?.inputUsdPerMillionTokens, 2.5);
});
