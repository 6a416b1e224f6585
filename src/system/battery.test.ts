/** The battery as Linux shows it, from made-up folders. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { batteryReader, type PowerFiles } from './battery.ts';

function folders(supplies: Readonly<Record<string, Readonly<Record<string, string>>>>): PowerFiles & { reads: number } {
  const files = { reads: 0, list: () => Object.keys(supplies), read: (supply: string, file: string) => (files.reads++, supplies[supply]?.[file]) };
  return files;
}

const clock = { now: 0, wallMs: () => 0, monotonicMs: () => clock.now, sleep: () => Promise.resolve() };
const charge = (supplies: Parameters<typeof folders>[0]): number | undefined => batteryReader(clock, folders(supplies))();

test('the charge of batteries that power the machine; full while power comes from outside; unknown where there is none', () => {
  assert.equal(charge({ AC: { type: 'Mains', online: '0' }, BAT0: { type: 'Battery', status: 'Discharging', capacity: '42' } }), 0.42);
  assert.equal(charge({ BAT0: { type: 'Battery', status: 'Discharging', capacity: '20' }, BAT1: { type: 'Battery', status: 'Not charging', capacity: '80' } }), 0.5);
  assert.equal(charge({ AC: { type: 'Mains', online: '1' }, BAT0: { type: 'Battery', status: 'Charging', capacity: '42' } }), 1);
  assert.equal(charge({ mouse: { type: 'Battery', scope: 'Device', status: 'Discharging', capacity: '5' } }), undefined);
  assert.equal(charge({ BAT0: { type: 'Battery', status: 'Discharging' } }), undefined);
  assert.equal(charge({ BAT0: { type: 'Battery', status: 'Discharging', capacity: 'broken' } }), undefined);
  assert.equal(charge({}), undefined);
});

test('it is read at most every ten seconds, and reading this machine fails nowhere', () => {
  const supplies = { BAT0: { type: 'Battery', status: 'Discharging', capacity: '42' } };
  const files = folders(supplies);
  const read = batteryReader(clock, files);
  read();
  const once = files.reads;
  clock.now += 9_000;
  supplies.BAT0.capacity = '41';
  assert.deepEqual([read(), files.reads], [0.42, once]);
  clock.now += 1_000;
  assert.equal(read(), 0.41);
  const here = batteryReader(clock)();
  assert.ok(here === undefined || (here >= 0 && here <= 1));
});
