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
import { load } from './gateway/load.ts';
import { residentBytes, stopAll } from './gateway/processes.ts';
import { inTurns, medianOf, warm } from './gateway/rounds.ts';
import { startPortkey, startTandem, startUpstream, tandemConfig, type Side } from './gateway/sides.ts';
import { machineLine, printFigures } from './machine.ts';

const quick = process.argv.includes('--quick');
const withMemory = !process.argv.includes('--no-memory');
const memoryOnly = process.argv.includes('--memory-only');
const threads = process.argv.includes('--threads') ? Number(process.argv[process.argv.indexOf('--threads') + 1]) : 1;
const rounds = quick ? 3 : 7;
const secondsPerRound = quick ? 1.5 : 2.5;
const memoryFrom = quick ? 4_000 : 20_000;
const memoryTo = quick ? 20_000 : 200_000;

interface Row {
  readonly side: string;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly firstP50Ms: number;
  readonly cpuMicroseconds: number;
}

/** Runs one scenario on every side, taking turns; medians over the rounds. */
async function scenario(sides: readonly Side[], connections: number, streamed: boolean): Promise<readonly Row[]> {
  const measured = await inTurns(sides, { connections, streamed, rounds, secondsPerRound });
  return measured.map((of, index) => ({
    side: (sides[index] as Side).name,
    requestsPerSecond: medianOf(of, 'requestsPerSecond'),
    p50Ms: medianOf(of, 'p50Ms'),
    p99Ms: medianOf(of, 'p99Ms'),
    firstP50Ms: medianOf(of, 'firstP50Ms'),
    cpuMicroseconds: medianOf(of, 'cpuMicroseconds'),
  }));
}

interface Compared {
  readonly throughputRatio: number;
  readonly addedP50Ratio: number;
  readonly addedP99Ratio: number;
}

/** Prints a scenario's rows and compares the two gateways. */
function report(title: string, rows: readonly Row[]): Compared {
  const direct = rows[0] as Row;
  console.log(`\n${title}`);
  console.log('              req/s   p50 ms   p99 ms  first ms  added p50  added p99  CPU us/req');
  for (const row of rows) {
    const added = [row.p50Ms - direct.p50Ms, row.p99Ms - direct.p99Ms];
    console.log(
      `  ${row.side.padEnd(8)} ${row.requestsPerSecond.toFixed(0).padStart(8)} ${row.p50Ms.toFixed(3).padStart(8)} ${row.p99Ms.toFixed(3).padStart(8)} ${row.firstP50Ms.toFixed(3).padStart(9)} ${(added[0] ?? 0).toFixed(3).padStart(10)} ${(added[1] ?? 0).toFixed(3).padStart(10)} ${row.cpuMicroseconds.toFixed(0).padStart(11)}`,
    );
  }
  const [, ours, theirs] = rows as readonly [Row, Row, Row];
  const compared = {
    throughputRatio: ours.requestsPerSecond / theirs.requestsPerSecond,
    addedP50Ratio: (ours.p50Ms - direct.p50Ms) / (theirs.p50Ms - direct.p50Ms),
    addedP99Ratio: (ours.p99Ms - direct.p99Ms) / (theirs.p99Ms - direct.p99Ms),
  };
  console.log(`  throughput ${compared.throughputRatio.toFixed(2)} times; added p50 ${compared.addedP50Ratio.toFixed(3)}, added p99 ${compared.addedP99Ratio.toFixed(3)} of theirs`);
  return compared;
}

/** Resident memory of the gateway at rest: the least of some looks, since a look can fall into a collection. */
async function memoryAtRest(pid: number | undefined): Promise<number> {
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
  const whole1 = report('1 connection, whole answers', await scenario(sides, 1, false));
  const stream1 = report('1 connection, streams', await scenario(sides, 1, true));
  const whole32 = report('32 connections, whole answers', await scenario(sides, 32, false));
  const stream32 = report('32 connections, streams', await scenario(sides, 32, true));
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
  console.log(`${rounds} rounds of ${secondsPerRound} s a side and scenario, taking turns; medians over the rounds`);
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
