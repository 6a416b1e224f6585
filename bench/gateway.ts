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
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { servingThreads } from '../src/cli/serve/serving.ts';
import { parseConfig, type ConfigInput } from '../src/config.ts';
import { load, quantile, type LoadResult, type Target } from './gateway/load.ts';
import { cpuSeconds, residentBytes, start, stopAll, untilReady, type Running } from './gateway/processes.ts';
import { machineLine, printFigures } from './machine.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const quick = process.argv.includes('--quick');
const withMemory = !process.argv.includes('--no-memory');
const memoryOnly = process.argv.includes('--memory-only');
const threads = process.argv.includes('--threads') ? Number(process.argv[process.argv.indexOf('--threads') + 1]) : 1;
const rounds = quick ? 3 : 7;
const secondsPerRound = quick ? 1.5 : 2.5;
const memoryFrom = quick ? 4_000 : 20_000;
const memoryTo = quick ? 20_000 : 200_000;
const key = 'bench-key';

interface Side {
  readonly name: 'direct' | 'tandem' | 'portkey';
  readonly pid: number | undefined;
  target(streamed: boolean): Target;
}

const message = 'Please tell anna.berg@example.org in two sentences what the weather is like today in the small town by the sea.';

function body(model: string, streamed: boolean): string {
  return JSON.stringify({ model, messages: [{ role: 'system', content: 'You are a helpful assistant.' }, { role: 'user', content: message }], temperature: 0.7, max_tokens: 100, ...(streamed ? { stream: true } : {}) });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The gateway as a user starts it: the command line with a configuration file. */
async function startTandem(upstreamPort: number, folder: string): Promise<Running & { readonly port: number; readonly threads: number }> {
  const config: ConfigInput = {
    members: { large: { engine: 'openai', roles: ['large'], baseUrl: `http://127.0.0.1:${upstreamPort}/v1`, model: 'mock', place: 'cloud', price: { inputUsdPerMillionTokens: 1, outputUsdPerMillionTokens: 4, asOf: '2025-01-01' } } },
    defaultModel: 'tandem/large',
    gateway: { threads, keys: [{ name: 'bench', sha256: createHash('sha256').update(key).digest('hex'), requestsPerMinute: 1_000_000_000, tokensPerMinute: 1_000_000_000_000, costUsdPerDay: 1_000_000 }] },
    policy: { costUsdMaxPerRequest: 1 },
  };
  writeFileSync(join(folder, 'tandem.config.ts'), `export default ${JSON.stringify(config, null, 2)};\n`);
  const port = await freePort();
  const profile = process.env.TANDEM_BENCH_PROFILE === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${process.env.TANDEM_BENCH_PROFILE}`];
  const running = await start([...profile, join(root, 'src/cli/main.ts'), 'serve', '--config', join(folder, 'tandem.config.ts'), '--port', String(port), '--json'], {}, folder);
  await untilReady(`http://127.0.0.1:${port}/healthz`);
  return { ...running, port, threads: servingThreads(parseConfig(config), availableParallelism(), {}) as number };
}

async function startPortkey(): Promise<Running & { readonly port: number }> {
  const port = await freePort();
  const running = await start([join(root, 'node_modules/@portkey-ai/gateway/build/start-server.js'), `--port=${port}`, '--headless'], { NODE_ENV: 'production' });
  await untilReady(`http://127.0.0.1:${port}/`);
  return { ...running, port };
}

async function startSides(folder: string): Promise<readonly Side[]> {
  const upstream = await start([join(root, 'bench/gateway/upstream.ts')]);
  const upstreamPort = Number(upstream.firstLine);
  const tandem = await startTandem(upstreamPort, folder);
  const portkey = await startPortkey();
  console.log(`tandem answers with ${tandem.threads} ${tandem.threads === 1 ? 'thread' : 'threads'}, portkey with one`);
  const path = '/v1/chat/completions';
  const toPortkey = { authorization: 'Bearer none', 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `http://127.0.0.1:${upstreamPort}/v1` };
  return [
    { name: 'direct', pid: upstream.process.pid, target: (streamed) => ({ port: upstreamPort, path, headers: {}, body: body('mock', streamed) }) },
    { name: 'tandem', pid: tandem.process.pid, target: (streamed) => ({ port: tandem.port, path, headers: { authorization: `Bearer ${key}` }, body: body('tandem/large', streamed) }) },
    { name: 'portkey', pid: portkey.process.pid, target: (streamed) => ({ port: portkey.port, path, headers: toPortkey, body: body('mock', streamed) }) },
  ];
}

interface Row {
  readonly side: Side['name'];
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly firstP50Ms: number;
  readonly cpuMicroseconds: number;
}

const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Runs one scenario on every side, taking turns; medians over the rounds. */
async function scenario(sides: readonly Side[], connections: number, streamed: boolean): Promise<readonly Row[]> {
  const results = new Map<Side['name'], (LoadResult & { cpu: number })[]>(sides.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const side of sides) {
      const before = cpuSeconds(side.pid) ?? Number.NaN;
      const result = await load(side.target(streamed), connections, 1_000_000, secondsPerRound);
      if (result.failures > 0) throw new Error(`${side.name}: ${result.failures} of ${result.requests} requests failed`);
      results.get(side.name)?.push({ ...result, cpu: (((cpuSeconds(side.pid) ?? Number.NaN) - before) / result.requests) * 1e6 });
    }
  }
  return sides.map(({ name }) => {
    const of = (field: (result: LoadResult & { cpu: number }) => number): number => median((results.get(name) ?? []).map(field));
    return { side: name, requestsPerSecond: of((r) => r.requestsPerSecond), p50Ms: of((r) => r.p50Ms), p99Ms: of((r) => r.p99Ms), firstP50Ms: of((r) => r.firstP50Ms), cpuMicroseconds: of((r) => r.cpu) };
  });
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
  // Compilers need some ten thousand requests to settle; both gateways get the same number.
  for (const side of sides) {
    for (const streamed of [false, true]) await load(side.target(streamed), 16, quick ? 4_000 : 15_000);
  }
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
  const sides = await startSides(folder);
  const tandem = sides[1] as Side;
  // Memory first, while the count of requests is known: a fresh process, warmed by the smaller number.
  const growth = withMemory ? await memoryGrowth(tandem, 0) : null;
  if (memoryOnly) printFigures('gateway', { memoryGrowth: growth === null ? null : round(growth) });
  else await compareAll(sides, growth);
} finally {
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
}
