/**
 * What the gateway costs: requests a second, and the latency that it adds to a direct call, against the npm package
 * `@portkey-ai/gateway` on the same mock upstream, in one run, round by round. Here admission (a key with limits), guard,
 * masking (the member's place is `cloud`), recipe, trace and store are on.
 *
 *   npm run bench:gateway [-- --quick] [-- --no-memory] [-- --memory-only] [-- --threads <n>]
 *
 * `--threads`: of Tandem's gateway; default 1, as a user gets it. The other gateway is one process with one thread, the way its
 * package starts it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { servingThreads } from '../src/cli/serve/serving.ts';
import { parseConfig } from '../src/config.ts';
import { load, quantile } from './gateway/load.ts';
import { residentBytes, stopAll } from './gateway/processes.ts';
import { inTurns, medianOf, warm, type Round } from './gateway/rounds.ts';
import { startPortkey, startTandem, startUpstream, tandemConfig, type Side } from './gateway/sides.ts';
import { machineLine, printFigures } from './machine.ts';

const quick = process.argv.includes('--quick');
const withMemory = !process.argv.includes('--no-memory');
const memoryOnly = process.argv.includes('--memory-only');
const threads = process.argv.includes('--threads') ? Number(process.argv[process.argv.indexOf('--threads') + 1]) : 1;
/** Many short rounds: what other guests of the machine do makes the same process half as fast for seconds, and sides that follow each other closely see the same of it. */
const rounds = quick ? 9 : 35;
const secondsPerRound = 0.5;
const memoryFrom = quick ? 4_000 : 20_000;
const memoryTo = quick ? 20_000 : 200_000;
/** Within it the gateway gives memory back. Milliseconds. */
const restMs = 80_000;

interface Compared {
  readonly throughputRatio: number;
  readonly addedP50Ratio: number;
  readonly addedP99Ratio: number;
}

/** Runs one scenario on every side, taking turns; prints medians over the rounds, and compares the two gateways round by round. */
async function compare(title: string, sides: readonly Side[], connections: number, streamed: boolean): Promise<Compared> {
  const measured = await inTurns(sides, { connections, streamed, rounds, secondsPerRound });
  const [direct, ours, theirs] = measured as [readonly Round[], readonly Round[], readonly Round[]];
  console.log(`\n${title}`);
  console.log('              req/s   p50 ms   p99 ms  first ms  added p50  added p99  CPU us/req');
  for (const [index, side] of sides.entries()) {
    const of = measured[index] as readonly Round[];
    const cells = [medianOf(of, 'requestsPerSecond').toFixed(0), medianOf(of, 'p50Ms').toFixed(3), medianOf(of, 'p99Ms').toFixed(3), medianOf(of, 'firstP50Ms').toFixed(3), median(added(of, direct, 'p50Ms')).toFixed(3), median(added(of, direct, 'p99Ms')).toFixed(3), medianOf(of, 'cpuMicroseconds').toFixed(0)];
    console.log(`  ${side.name.padEnd(8)} ${cells.map((cell, n) => cell.padStart([8, 8, 8, 9, 10, 10, 11][n] as number)).join(' ')}`);
  }
  const compared = {
    throughputRatio: median(ours.map(({ requestsPerSecond }, n) => requestsPerSecond / (theirs[n] as Round).requestsPerSecond)),
    addedP50Ratio: median(ratios(added(ours, direct, 'p50Ms'), added(theirs, direct, 'p50Ms'))),
    addedP99Ratio: median(ratios(added(ours, direct, 'p99Ms'), added(theirs, direct, 'p99Ms'))),
  };
  console.log(`  throughput ${compared.throughputRatio.toFixed(2)} times; added p50 ${compared.addedP50Ratio.toFixed(3)}, added p99 ${compared.addedP99Ratio.toFixed(3)} of theirs`);
  return compared;
}

const median = (values: readonly number[]): number => quantile(values, 0.5);

/** What a side adds to a direct call, round by round. */
const added = (of: readonly Round[], direct: readonly Round[], field: 'p50Ms' | 'p99Ms'): number[] => of.map((round, n) => round[field] - (direct[n] as Round)[field]);

const ratios = (of: readonly number[], to: readonly number[]): number[] => of.map((value, n) => value / (to[n] as number));

/** Resident memory of the gateway at rest, once it has given back what load left (`src/system/give-back.ts`): the least of some looks, since a look can fall into a collection. */
async function memoryAtRest(pid: number | undefined): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, restMs));
  const looks: number[] = [];
  for (let look = 0; look < 10; look++) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    looks.push(residentBytes(pid) ?? Number.NaN);
  }
  return Math.min(...looks);
}

/** Memory after many requests over that after fewer, half of them streamed. */
async function memoryGrowth(side: Side, alreadySent: number): Promise<number> {
  const send = async (requests: number): Promise<void> => {
    if (requests <= 0) return;
    await load(side.target(false), 32, Math.ceil(requests / 2));
    await load(side.target(true), 32, Math.floor(requests / 2));
  };
  await send(memoryFrom - alreadySent);
  const before = await memoryAtRest(side.pid);
  await send(memoryTo - memoryFrom);
  const after = await memoryAtRest(side.pid);
  const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  console.log(`\nmemory of tandem: ${mebibytes(before)} MiB after ${memoryFrom} requests, ${mebibytes(after)} MiB after ${memoryTo}`);
  return after / before;
}

const round = (value: number): number => Math.round(value * 1000) / 1000;

/** All scenarios, on warm gateways, and the figures. */
async function compareAll(sides: readonly Side[], growth: number | null): Promise<void> {
  await warm(sides, quick ? 4_000 : 15_000);
  const whole1 = await compare('1 connection, whole answers', sides, 1, false);
  const stream1 = await compare('1 connection, streams', sides, 1, true);
  const whole32 = await compare('32 connections, whole answers', sides, 32, false);
  const stream32 = await compare('32 connections, streams', sides, 32, true);
  console.log('\nthroughputRatio is the smaller one of the 32-connection rows, addedP50Ratio the larger one of all rows.');
  printFigures('gateway', {
    throughputRatio: round(Math.min(whole32.throughputRatio, stream32.throughputRatio)),
    addedP50Ratio: round(Math.max(whole1.addedP50Ratio, stream1.addedP50Ratio, whole32.addedP50Ratio, stream32.addedP50Ratio)),
    memoryGrowth: growth === null ? null : round(growth),
    throughputRatioWhole32: round(whole32.throughputRatio),
    throughputRatioStream32: round(stream32.throughputRatio),
    addedP50RatioWhole1: round(whole1.addedP50Ratio),
    addedP50RatioStream1: round(stream1.addedP50Ratio),
    addedP50RatioWhole32: round(whole32.addedP50Ratio),
    addedP50RatioStream32: round(stream32.addedP50Ratio),
  });
}

const folder = mkdtempSync(join(tmpdir(), 'tandem-bench-'));
try {
  console.log(`gateway benchmark; ${machineLine()}`);
  console.log(`${rounds} rounds of ${secondsPerRound} s a side and scenario, taking turns; medians over the rounds, ratios round by round`);
  const answering = servingThreads(parseConfig(tandemConfig(1, threads)), availableParallelism(), {});
  console.log(`tandem answers with ${answering} ${answering === 1 ? 'thread' : 'threads'}, portkey with one`);
  const upstream = await startUpstream();
  const tandem = await startTandem(upstream.port, folder, { threads });
  const sides = [upstream, tandem, await startPortkey(upstream.port)];
  // Memory first, while the count of requests is known: a fresh process, warmed by the smaller number.
  const growth = withMemory ? await memoryGrowth(tandem, 0) : null;
  if (memoryOnly) printFigures('gateway', { memoryGrowth: growth === null ? null : round(growth) });
  else await compareAll(sides, growth);
} finally {
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
}
