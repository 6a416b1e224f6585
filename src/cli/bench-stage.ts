/** `tandem bench cascade --stage`: what each way of one stage of a task gives and costs, measured on rows, into a file of stages. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { CascadePlan } from '../assign/cascade/plan.ts';
import { alone } from '../assign/cascade/recorded.ts';
import { decodeCascadeFile } from '../assign/cascade/files.ts';
import { encodeStages, stagesOf, type Stage, type StagesFile } from '../assign/cascade/stages.ts';
import { recordedOf } from '../bench/cascades.ts';
import type { Row } from '../bench/rows.ts';
import { fail } from '../errors.ts';
import { systemClock } from '../system/clock.ts';
import { note, printTable, type Terminal } from './terminal.ts';

/** What the command was told. */
export interface StageOptions {
  /** `name: instruction`. */
  readonly stage: string;
  /** The file. */
  readonly out: string | undefined;
  readonly unit: StagesFile['unit'];
}

/** Measures the ways and writes them. @param arms the way behind each member of the rows @throws {TandemError} usage, router_file_invalid */
export function writeStage(terminal: Terminal, { stage, out, unit }: StageOptions, rows: readonly Row[], members: readonly string[], arms: CascadePlan['arms']): void {
  const [, name = '', instruction = ''] = /^([a-z0-9][a-z0-9-]{0,31}): *(\S[\s\S]*)$/.exec(stage) ?? fail('usage', '--stage takes a name (lower-case letters, digits, "-"), a colon and an instruction.');
  const path = resolve(terminal.cwd, out ?? fail('usage', '--stage needs --out <file>.'));
  const recorded = recordedOf(rows, members, () => undefined);
  const measured: Stage = { name, instruction, rows: rows.length, ways: arms.map(({ member, samples }, arm) => ({ member, samples, ...alone(recorded, arm) })) };
  const before = existsSync(path) ? decodeCascadeFile(readFileSync(path, 'utf8')) : undefined;
  if (before !== undefined && before.type !== 'stages') return fail('usage', '--out names a file that holds no stages.');
  const known = before?.stages.stages ?? [];
  if (before !== undefined && before.stages.unit !== unit && known.some((each) => each.name !== name)) fail('usage', `The stages of the file are measured in ${before.stages.unit}; --spend says otherwise.`);
  const stages = known.some((each) => each.name === name) ? known.map((each) => (each.name === name ? measured : each)) : [...known, measured];
  writeFileSync(path, encodeStages(stagesOf({ kind: 'tandem-stages', version: 1, date: new Date(systemClock.wallMs()).toISOString().slice(0, 10), unit, stages })));
  printTable(terminal, { head: [`way of "${name}"`, 'quality', unit], rows: measured.ways.map(({ member, samples, quality, cost }) => [samples > 1 ? `${member} x ${samples}` : member, `${(100 * quality).toFixed(1)} %`, cost.toPrecision(3)]) });
  note(terminal, `Written: ${out}, stages: ${stages.map((each) => each.name).join(', ')}.`);
}
