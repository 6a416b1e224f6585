/** Prices and energy: the member's own, the list, the machine's counter, the estimate. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { Place } from '../exchange.ts';
import type { AnyMember, Price } from '../models/team.ts';
import type { Clock } from '../system/clock.ts';
import { createMeter } from './create-meter.ts';
import { openEnergyCounter, profileOf } from './energy.ts';

const folder = mkdtempSync(join(tmpdir(), 'tandem-rapl-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const clock: Clock & { ms: number } = { ms: 0, wallMs: () => 0, monotonicMs: () => (clock.ms += 10), sleep: () => Promise.resolve() };
const memberAt = (place: Place, more: { readonly modelName?: string; readonly price?: Price; readonly parameters?: number } = {}): AnyMember => {
  const { parameters, ...rest } = more;
  return { id: 'm', roles: [], model: { place, ...(parameters === undefined ? {} : { parameters }) }, ...rest } as unknown as AnyMember;
};
const facts = (member: AnyMember, usage = { promptTokens: 1_000_000, cachedPromptTokens: 400_000, completionTokens: 500_000 }) => ({ member, usage, bytesUp: 1, bytesDown: 2, elapsedMs: 5 });
const meter = createMeter({ clock, energy: null });
const measure = (member: AnyMember) => meter.measure(facts(member), meter.start(member));

test('a member\'s own price wins; cached tokens cost their own price, or the full one', () => {
  const price = { inputUsdPerMillionTokens: 2, cachedInputUsdPerMillionTokens: 0.5, outputUsdPerMillionTokens: 8, asOf: '2026-01-01' };
  assert.equal(measure(memberAt('cloud', { modelName: 'gpt-4.1', price })).costUsd, 0.6 * 2 + 0.4 * 0.5 + 0.5 * 8);
  const { cachedInputUsdPerMillionTokens: _, ...full } = price;
  assert.equal(measure(memberAt('device', { price: full })).costUsd, 2 + 4);
});

test('device and edge are free; an unknown price in the cloud is marked, not silently 0', () => {
  for (const place of ['device', 'edge'] as const) assert.deepEqual([measure(memberAt(place)).costUsd, measure(memberAt(place)).priceKnown], [0, undefined]);
  const unknown = measure(memberAt('cloud', { modelName: 'some-model' }));
  assert.deepEqual([unknown.costUsd, unknown.priceKnown], [0, false]);
});

test('estimates grow with the number of weights and are marked', () => {
  const usage = measure(memberAt('device', { parameters: 1e9 }));
  assert.equal(usage.energySource, 'estimated');
  assert.ok(Math.abs(usage.energyJ - (600_000 * 0.06 + 500_000 * 0.6)) < 1e-6);
  assert.ok(Math.abs(profileOf(memberAt('edge', { modelName: 'Llama-3.1-8B-Instruct' })).joulePerOutputToken - 0.48) < 1e-9);
  assert.ok(Math.abs(profileOf(memberAt('device', { modelName: 'smollm2-360m' })).joulePerOutputToken - 0.216) < 1e-9);
  assert.ok(Math.abs(profileOf(memberAt('cloud', { modelName: 'gpt-4.1' })).joulePerOutputToken - 4.2) < 1e-9);
  const own = { joulePerInputToken: 1, joulePerOutputToken: 2, source: 'a wattmeter' };
  assert.equal(profileOf({ ...memberAt('device'), energy: own }), own);
});

/** A made-up machine. */
function machine(name: string, packages: readonly { readonly zone: string; readonly called: string; readonly wrapUj: number }[]): { readonly root: string; set(zone: string, uj: number): void } {
  const root = join(folder, name);
  const set = (zone: string, uj: number): void => writeFileSync(join(root, zone, 'energy_uj'), `${uj}\n`);
  for (const { zone, called, wrapUj } of packages) {
    mkdirSync(join(root, zone), { recursive: true });
    writeFileSync(join(root, zone, 'name'), `${called}\n`);
    writeFileSync(join(root, zone, 'max_energy_range_uj'), `${wrapUj}\n`);
    set(zone, 1_000_000);
  }
  return { root, set };
}

test('measured energy is shared by the calls that run, over all packages, and wraps around', () => {
  const { root, set } = machine('two', [
    { zone: 'intel-rapl:0', called: 'package-0', wrapUj: 100_000_000 },
    { zone: 'intel-rapl:1', called: 'package-1', wrapUj: 100_000_000 },
    { zone: 'intel-rapl:0:0', called: 'core', wrapUj: 100_000_000 },
    { zone: 'intel-rapl:2', called: 'psys', wrapUj: 100_000_000 },
  ]);
  const energy = openEnergyCounter(clock, root);
  assert.ok(energy !== undefined);
  const measured = createMeter({ clock, energy });
  const member = memberAt('device');
  set('intel-rapl:0', 9_000_000);
  const a = measured.start(member); // what was used before does not count
  set('intel-rapl:0', 11_000_000);
  set('intel-rapl:0:0', 50_000_000);
  set('intel-rapl:2', 50_000_000);
  const b = measured.start(member); // 2 J for a alone
  set('intel-rapl:0', 500_000); // wrapped: 89.5 J
  set('intel-rapl:1', 1_500_000); // 0.5 J; 90 J for both
  const usedA = measured.measure(facts(member), a);
  set('intel-rapl:1', 4_500_000); // 3 J for b alone
  const usedB = measured.measure(facts(member), b);
  assert.deepEqual([usedA.energySource, usedB.energySource], ['measured', 'measured']);
  assert.ok(Math.abs(usedA.energyJ - 47) < 1e-9 && Math.abs(usedB.energyJ - 48) < 1e-9, `${usedA.energyJ} ${usedB.energyJ}`);
  assert.equal(measured.measure(facts(member), b).energyJ, 0, 'a call counts once');
  const cloud = memberAt('cloud');
  assert.equal(measured.measure(facts(cloud), measured.start(cloud)).energySource, 'estimated');
  const late = measured.start(member);
  set('intel-rapl:0', Number.NaN);
  assert.equal(measured.measure(facts(member), late).energySource, 'estimated', 'a counter that breaks is no 0');
  assert.equal(measured.measure(facts(member), measured.start(member)).energySource, 'estimated');
  energy.close();
});

test('no counter, or none that may be read: none', () => {
  assert.equal(openEnergyCounter(clock, join(folder, 'nowhere')), undefined);
  const { root } = machine('psys-only', [{ zone: 'intel-rapl:0', called: 'psys', wrapUj: 1 }]);
  assert.equal(openEnergyCounter(clock, root), undefined);
});
