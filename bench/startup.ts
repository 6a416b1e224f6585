/**
 * Cold start and memory at rest: `tandem serve` with the bundled pair, from starting the process until `/readyz` says 200,
 * and resident memory once nothing happens.
 *
 *   npm run bench:startup [-- --quick]
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { quantile } from './gateway/load.ts';
import { freePort, residentBytes, start, stopAll } from './gateway/processes.ts';
import { machineLine, printFigures } from './machine.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const rounds = process.argv.includes('--quick') ? 3 : 9;
const restMs = 3_000;

async function untilReadyMs(url: string, startMs: number): Promise<number> {
  for (;;) {
    const status = await fetch(url).then((reply) => reply.status, () => 0);
    if (status === 200) return performance.now() - startMs;
    if (performance.now() - startMs > 60_000) throw new Error('not ready within 60 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Starts the gateway from these files once. */
async function once(entry: string): Promise<{ readonly readyMs: number; readonly restMiB: number; readonly answerMs: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-startup-'));
  try {
    const port = await freePort();
    const startMs = performance.now();
    const starting = start([entry, 'serve', '--port', String(port), '--json'], {}, folder);
    const readyMs = await untilReadyMs(`http://127.0.0.1:${port}/readyz`, startMs);
    const { process: child } = await starting;
    await new Promise((resolve) => setTimeout(resolve, restMs));
    const restMiB = (residentBytes(child.pid) ?? Number.NaN) / 2 ** 20;
    const askMs = performance.now();
    const reply = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ messages: [{ role: 'user', content: 'Say hello.' }], max_tokens: 8 }) });
    await reply.text();
    if (reply.status !== 200) throw new Error(`the first answer had status ${reply.status}`);
    return { readyMs, restMiB, answerMs: performance.now() - askMs };
  } finally {
    await stopAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

console.log(`startup benchmark; ${machineLine()}`);
const entries = [['source', join(root, 'src/cli/main.ts')], ['built', join(root, 'dist/cli/main.js')]] as const;
const figures: Record<string, number | null> = {};
for (const [name, entry] of entries) {
  if (!existsSync(entry)) {
    console.log(`${name}: ${name === 'built' ? 'not built (npm run build)' : 'missing'}`);
    continue;
  }
  const runs: Awaited<ReturnType<typeof once>>[] = [];
  for (let round = 0; round < rounds; round++) runs.push(await once(entry));
  const median = (of: (run: (typeof runs)[number]) => number): number => Math.round(quantile(runs.map(of), 0.5) * 10) / 10;
  console.log(`${name}: ready after ${median((run) => run.readyMs)} ms (median of ${rounds}; worst ${Math.round(Math.max(...runs.map((run) => run.readyMs)))} ms); ${median((run) => run.restMiB)} MiB at rest; first answer in ${median((run) => run.answerMs)} ms`);
  figures[name === 'source' ? 'readyMs' : 'readyBuiltMs'] = median((run) => run.readyMs);
  figures[name === 'source' ? 'restMiB' : 'restBuiltMiB'] = median((run) => run.restMiB);
}
printFigures('startup', figures);
