/**
 * The charge of this machine's battery, as Linux shows it under /sys/class/power_supply (kernel documentation,
 * ABI/testing/sysfs-class-power). Unknown elsewhere, and on machines without one.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from './clock.ts';

/** Charge, 0 to 1; 1 while power comes from outside; undefined: there is no battery, or it cannot be read. */
export type BatteryReader = () => number | undefined;

/** The folder as a battery reader needs it. */
export interface PowerFiles {
  /** Names of the supplies; empty where there is no such folder. */
  list(): readonly string[];
  /** A file's text without its line end; undefined where it is not there. @param file such as `capacity` */
  read(supply: string, file: string): string | undefined;
}

/** A battery hardly moves within this time, in milliseconds. */
const readEveryMs = 10_000;

/** Reads the battery, at most every ten seconds. @param files default: those of this machine */
export function batteryReader(clock: Clock, files: PowerFiles = systemFiles('/sys/class/power_supply')): BatteryReader {
  let readAtMs = -Infinity;
  let share: number | undefined;
  return () => {
    const nowMs = clock.monotonicMs();
    if (nowMs - readAtMs >= readEveryMs) [readAtMs, share] = [nowMs, chargeOf(files)];
    return share;
  };
}

/** Mean charge of the batteries that power the machine; those of mice and headsets say `Device`. */
function chargeOf(files: PowerFiles): number | undefined {
  const own = files.list().filter((supply) => files.read(supply, 'type') === 'Battery' && files.read(supply, 'scope') !== 'Device');
  const shares = own.map((supply) => Number(files.read(supply, 'capacity') ?? NaN) / 100).filter((share) => share >= 0 && share <= 1);
  if (shares.length === 0) return undefined;
  if (!own.some((supply) => files.read(supply, 'status') === 'Discharging')) return 1;
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

function systemFiles(root: string): PowerFiles {
  const quietly = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch {
      return undefined;
    }
  };
  return {
    list: () => quietly(() => readdirSync(root)) ?? [],
    read: (supply, file) => quietly(() => readFileSync(join(root, supply, file), 'utf8').trim()),
  };
}
