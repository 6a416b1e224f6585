/**
 * What writing traces costs the thread that answers requests: `node bench/store.ts`. 4,000 traces a second for five
 * seconds into a fresh SQLite file, and how long the event loop stands still meanwhile, against the same without a store.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openStore } from '../src/store/index.ts';
import type { Store } from '../src/store/store.ts';
import { systemClock } from '../src/system/clock.ts';
import { systemRandom } from '../src/system/random.ts';
import { newTraceId } from '../src/trace/trace-id.ts';
import { Trace, type TraceRecord } from '../src/trace/trace.ts';

const perSecond = 4_000;
const seconds = 5;
const usage = { promptTokens: 10, cachedPromptTokens: 0, completionTokens: 20, costUsd: 0.001, energyJ: 1, energySource: 'estimated' as const, bytesUp: 10, bytesDown: 20 };

function makeTrace(): TraceRecord {
  const trace = new Trace(newTraceId(systemClock.wallMs(), systemRandom), systemClock, { surface: 'chat', requestedModel: 'large' });
  for (const stage of ['admit', 'guard-input', 'privacy-mask']) trace.root.child(stage, 'stage').end();
  const recipe = trace.root.child('large', 'recipe');
  const call = recipe.child('call large', 'call', { member: 'large', place: 'cloud', model: 'm' });
  call.firstPart();
  call.use(usage);
  call.end();
  recipe.decide('route', 'large', 'asked for by name', { length: 12 });
  recipe.end();
  return trace.finish('ok');
}

async function load(store: Pick<Store, 'writeTrace' | 'flush'>): Promise<{ readonly busyMs: number; readonly delayP99Ms: number }> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const before = performance.eventLoopUtilization();
  const start = performance.now();
  let written = 0;
  delay.enable();
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(perSecond * seconds, ((performance.now() - start) / 1000) * perSecond);
      while (written < due) {
        store.writeTrace(makeTrace());
        written++;
      }
      if (written >= perSecond * seconds) {
        clearInterval(timer);
        resolve();
      }
    }, 2);
  });
  delay.disable();
  const busyMs = performance.eventLoopUtilization(before).active;
  await store.flush();
  return { busyMs, delayP99Ms: delay.percentile(99) / 1e6 };
}

const folder = mkdtempSync(join(tmpdir(), 'tandem-bench-'));
const store = await openStore({ path: join(folder, 'store.sqlite'), flushMs: 50, traceDaysMax: 30 }, { baseDir: folder, clock: systemClock, env: {} });
const none = { writeTrace: () => undefined, flush: () => Promise.resolve() };
await load(none);
const without = await load(none);
const withStore = await load(store);
const kept = (await store.listTraces({ limit: 1 })).length;
const dropped = store.droppedTraces;
await store.close();
rmSync(folder, { recursive: true, force: true });
const total = perSecond * seconds;
console.log(`without a store: busy ${without.busyMs.toFixed(0)} ms, loop delay p99 ${without.delayP99Ms.toFixed(2)} ms; with: busy ${withStore.busyMs.toFixed(0)} ms, p99 ${withStore.delayP99Ms.toFixed(2)} ms; dropped ${dropped}, readable ${kept === 1}`);
console.log(JSON.stringify({ bench: 'store', figures: { tracesPerSecond: perSecond, microsecondsPerTrace: Math.round(((withStore.busyMs - without.busyMs) / total) * 1e5) / 100, loopDelayP99Ms: Math.round(withStore.delayP99Ms * 100) / 100, loopDelayP99MsWithout: Math.round(without.delayP99Ms * 100) / 100, dropped } }));
