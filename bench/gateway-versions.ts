/**
 * What a change does to the gateway: several checkouts of Tandem (or one with different flags of Node) behind the same mock
 * upstream, round by round in turns. Prints medians, and each side's ratio to the first with the middle half of its rounds.
 *
 *   git worktree add ../before <commit> && ln -s "$PWD/node_modules" ../before/
 *   node bench/gateway-versions.ts ../before . [--connections 1] [--streamed] [--rounds 15] [--seconds 1.5] [--portkey] [--floor]
 *   node bench/gateway-versions.ts . .+--max-semi-space-size=4     a checkout with flags: joined by +
 *
 * `--floor` adds the upstream asked directly and a proxy that does nothing: what is left of a gateway's latency is its own.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { quantile } from './gateway/load.ts';
import { residentBytes, stopAll } from './gateway/processes.ts';
import { inTurns, medianOf, warm, type Round } from './gateway/rounds.ts';
import { startBareProxy, startPortkey, startTandem, startUpstream, type Side } from './gateway/sides.ts';
import { machineLine, printFigures } from './machine.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    connections: { type: 'string', default: '1' },
    streamed: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '1.5' },
    portkey: { type: 'boolean', default: false },
    floor: { type: 'boolean', default: false },
  },
});
/** @throws for anything but a number above 0 */
function positive(option: 'connections' | 'rounds' | 'seconds'): number {
  const value = Number(values[option]);
  if (!(value > 0)) throw new TypeError(`--${option} takes a number above 0, got ${values[option]}.`);
  return value;
}

const scenario = { connections: positive('connections'), streamed: values.streamed, rounds: positive('rounds'), secondsPerRound: positive('seconds') };
const versions = positionals.length === 0 ? ['.'] : positionals;

/** The ratio of two sides in each round: what the machine did in a round met both. */
function ratios(of: readonly Round[], to: readonly Round[], field: keyof Round): string {
  const each = of.map((round, index) => round[field] / (to[index] as Round)[field]);
  return `${quantile(each, 0.5).toFixed(3)} (${quantile(each, 0.25).toFixed(3)} to ${quantile(each, 0.75).toFixed(3)})`;
}

const folder = mkdtempSync(join(tmpdir(), 'tandem-bench-'));
try {
  console.log(`gateway-versions benchmark; ${machineLine()}`);
  console.log(`${scenario.rounds} rounds of ${scenario.secondsPerRound} s a side, taking turns; ${scenario.connections} connections, ${scenario.streamed ? 'streams' : 'whole answers'}`);
  const upstream = await startUpstream();
  const sides: Side[] = [];
  for (const version of versions) {
    const [root, ...nodeFlags] = version.split('+') as [string, ...string[]];
    sides.push(await startTandem(upstream.port, folder, { name: version, root: resolve(root), nodeFlags }));
  }
  if (values.floor) sides.push(upstream, await startBareProxy(upstream));
  if (values.portkey) sides.push(await startPortkey(upstream.port));
  await warm(sides, 15_000);
  const measured = await inTurns(sides, scenario);
  const first = measured[0] as readonly Round[];
  console.log('\n    req/s   p50 ms   p99 ms  CPU us/req  MiB   p50 to the first                req/s to the first');
  for (const [index, rounds] of measured.entries()) {
    const side = sides[index] as Side;
    const columns = [medianOf(rounds, 'requestsPerSecond').toFixed(0).padStart(9), medianOf(rounds, 'p50Ms').toFixed(4).padStart(8), medianOf(rounds, 'p99Ms').toFixed(3).padStart(8), medianOf(rounds, 'cpuMicroseconds').toFixed(1).padStart(11), ((residentBytes(side.pid) ?? Number.NaN) / 2 ** 20).toFixed(0).padStart(4)];
    console.log(`${columns.join(' ')}   ${ratios(rounds, first, 'p50Ms')}   ${ratios(rounds, first, 'requestsPerSecond')}   ${side.name}`);
  }
  printFigures('gateway-versions', Object.fromEntries(measured.flatMap((rounds, index) => {
    const of = (field: keyof Round): number => Math.round(medianOf(rounds, field) * 10_000) / 10_000;
    return [[`p50Ms${index}`, of('p50Ms')], [`requestsPerSecond${index}`, of('requestsPerSecond')], [`cpuMicroseconds${index}`, of('cpuMicroseconds')]];
  })));
} finally {
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
}
