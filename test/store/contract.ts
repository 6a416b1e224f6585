/** What every store must do, whichever database it stands on; and a trace to do it with. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Config } from '../../src/config.ts';
import type { Store } from '../../src/store/store.ts';
import type { Clock } from '../../src/system/clock.ts';
import type { TraceRecord } from '../../src/trace/trace.ts';

/** 2026-01-01. */
export const nowMs = 1_767_225_600_000;
export const dayMs = 86_400_000;

export function clockAt(wallMs: number): Clock {
  return { wallMs: () => wallMs, monotonicMs: () => 0, sleep: () => Promise.resolve() };
}

export function settings(path: string, more: Partial<Config['store']> = {}): Config['store'] {
  return { path, flushMs: 10, traceDaysMax: 30, ...more };
}

/** A trace with a bit of everything. */
export function sampleTrace(n: number, more: Partial<TraceRecord> = {}): TraceRecord {
  const usage = { promptTokens: 11, cachedPromptTokens: 3, completionTokens: 7, costUsd: 0.25, energyJ: 1.5, energySource: 'estimated' as const, bytesUp: 100, bytesDown: 200 };
  return {
    id: n.toString(16).padStart(32, '0'),
    startedAtMs: nowMs + n,
    durationMs: 12.345,
    surface: 'chat',
    requestedModel: 'tandem/cascade',
    recipe: 'cascade',
    caller: 'alice',
    outcome: 'ok',
    usage,
    shares: { small: 3, large: 4 },
    hidden: { email: 2 },
    spans: [
      { id: 0, parent: null, name: 'request', kind: 'stage', startMs: 0, endMs: 12.345, attributes: {}, events: [], decisions: [] },
      {
        id: 1, parent: 0, name: 'call small', kind: 'call', startMs: 1, endMs: 9.5, member: 'small', place: 'device', model: 'm', firstPartMs: 2.25, usage, error: 'engine_failed',
        attributes: { attempt: 1, cached: true, note: 'ü "quoted" \u0000 ?' },
        events: [{ atMs: 2, name: 'retry', fields: { n: 1 } }],
        decisions: [{ name: 'cascade.accept', chosen: 'small', because: 'sure enough', inputs: { mean: 0.9 }, atMs: 9 }],
      },
    ],
    ...more,
  };
}

type Open = (more?: { readonly wallMs?: number; readonly traceDaysMax?: number; readonly queuedTracesMax?: number; readonly flushMs?: number }) => Promise<Store>;

/** Runs the suite; `open` opens the same database each time. */
export async function storeContract(t: TestContext, fresh: () => Promise<Open>): Promise<void> {
  await t.test('gives back a trace exactly as it was written', async () => {
    const store = await (await fresh())();
    const trace = sampleTrace(1);
    store.writeTrace(trace);
    assert.deepEqual(await store.getTrace(trace.id), trace);
    assert.equal(await store.getTrace('f'.repeat(32)), undefined);
    await store.close();
  });

  await t.test('lists and gives back a trace with counts that no number holds', async () => {
    const store = await (await fresh())();
    const trace = sampleTrace(4, { usage: { ...sampleTrace(0).usage, promptTokens: 1e17, completionTokens: -1e300, bytesUp: Infinity } });
    store.writeTrace(trace);
    const [listed] = await store.listTraces({});
    assert.deepEqual([listed?.usage.promptTokens, listed?.usage.completionTokens, listed?.usage.bytesUp], [Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER, 0]);
    assert.equal((await store.getTrace(trace.id))?.usage.promptTokens, Number.MAX_SAFE_INTEGER);
    await store.close();
  });

  await t.test('keeps apart spans that share a name and little else', async () => {
    const store = await (await fresh())();
    const span = { id: 1, parent: 0 as number | null, name: 'call twin', kind: 'call' as const, startMs: 1, endMs: 2, attributes: {}, events: [], decisions: [] };
    const spans = [span, { ...span, id: 2 }, { ...span, parent: null }, { ...span, kind: 'recipe' as const }, { ...span, member: 'a' }, { ...span, member: 'b' }, { ...span, member: 'b', place: 'cloud' }, { ...span, model: 'm"' }, span];
    const trace = sampleTrace(3, { spans });
    store.writeTrace(trace);
    assert.deepEqual((await store.getTrace(trace.id))?.spans, spans);
    await store.close();
  });

  await t.test('keeps an unknown price, texts that no database takes, and values that are no numbers', async () => {
    const store = await (await fresh())();
    const trace = sampleTrace(2, { caller: 'a\0b\uD800', usage: { ...sampleTrace(0).usage, costUsd: Number.NaN, promptTokens: 1.5, priceKnown: false } });
    store.writeTrace(trace);
    const read = await store.getTrace(trace.id);
    assert.equal(read?.caller, 'a\uFFFDb\uFFFD');
    assert.deepEqual({ cost: read?.usage.costUsd, tokens: read?.usage.promptTokens, known: read?.usage.priceKnown }, { cost: 0, tokens: 2, known: false });
    await store.close();
  });

  await t.test('lists newest first, filters and pages', async () => {
    const store = await (await fresh())();
    for (let n = 0; n < 60; n++) store.writeTrace(sampleTrace(n, { caller: n % 2 === 0 ? 'alice' : "bob'; DROP TABLE traces; --", recipe: n < 30 ? 'large' : 'cascade', outcome: n === 7 ? 'cancelled' : 'ok' }));
    const ids = async (query: Parameters<Store['listTraces']>[0]): Promise<number[]> => (await store.listTraces(query)).map(({ id }) => parseInt(id, 16));
    assert.deepEqual(await ids({ limit: 3 }), [59, 58, 57]);
    assert.equal((await ids({})).length, 50);
    assert.deepEqual(await ids({ limit: 2, beforeMs: nowMs + 10 }), [9, 8]);
    assert.deepEqual(await ids({ limit: 2, caller: "bob'; DROP TABLE traces; --" }), [59, 57]);
    assert.deepEqual(await ids({ limit: 1, recipe: 'large', caller: 'alice' }), [28]);
    assert.deepEqual(await ids({ outcome: 'cancelled' }), [7]);
    const [summary] = await store.listTraces({ limit: 1 });
    const { spans: _, ...expected } = sampleTrace(59, { caller: "bob'; DROP TABLE traces; --", recipe: 'cascade' });
    assert.deepEqual(summary, expected);
    await store.close();
  });

  await t.test('pages through traces of one millisecond without losing any', async () => {
    const store = await (await fresh())();
    for (let n = 0; n < 7; n++) store.writeTrace(sampleTrace(n, { startedAtMs: nowMs + (n < 5 ? 1 : 2), caller: n === 3 ? 'bob' : 'alice' }));
    const pages = async (caller: object): Promise<string[][]> => {
      const found: string[][] = [];
      for (let last: object = {}; ; ) {
        const page = await store.listTraces({ limit: 2, ...caller, ...last });
        const end = page.at(-1);
        if (end === undefined) return found;
        found.push(page.map(({ id }) => String(parseInt(id, 16))));
        last = { beforeMs: end.startedAtMs, beforeId: end.id };
      }
    };
    assert.deepEqual(await pages({}), [['6', '5'], ['4', '3'], ['2', '1'], ['0']]);
    assert.deepEqual(await pages({ caller: 'alice' }), [['6', '5'], ['4', '2'], ['1', '0']]);
    await store.close();
  });

  await t.test('sums what a caller spent since a time', async () => {
    const store = await (await fresh())();
    for (let n = 0; n < 8; n++) store.writeTrace(sampleTrace(n, { caller: n < 6 ? 'alice' : 'bob' }));
    assert.equal(await store.spentUsd('alice', nowMs), 1.5);
    assert.equal(await store.spentUsd('alice', nowMs + 4), 0.5);
    assert.equal(await store.spentUsd('nobody', 0), 0);
    await store.close();
  });

  await t.test('keeps feedback, oldest first', async () => {
    const store = await (await fresh())();
    const feedback = (atMs: number, score: number) => ({ traceId: sampleTrace(1).id, atMs, caller: 'alice', score, source: 'thumb' });
    await store.writeFeedback(feedback(nowMs + 5, 1));
    await store.writeFeedback(feedback(nowMs + 2, 0.25));
    assert.deepEqual(await store.listFeedback(sampleTrace(1).id), [feedback(nowMs + 2, 0.25), feedback(nowMs + 5, 1)]);
    assert.deepEqual(await store.listFeedback('none'), []);
    await store.close();
  });

  await t.test('keeps both traces when a caller uses one id twice', async () => {
    const store = await (await fresh())();
    store.writeTrace(sampleTrace(1));
    store.writeTrace(sampleTrace(1, { startedAtMs: nowMs + 50 }));
    store.writeTrace(sampleTrace(1, { startedAtMs: nowMs + 50 }));
    assert.equal((await store.listTraces({})).length, 2);
    assert.equal((await store.getTrace(sampleTrace(1).id))?.startedAtMs, nowMs + 50);
    await store.close();
  });

  await t.test('drops what is older than traceDaysMax when it opens', async () => {
    const open = await fresh();
    const first = await open();
    for (let n = 0; n < 2_500; n++) first.writeTrace(sampleTrace(n));
    first.writeTrace(sampleTrace(5_000, { startedAtMs: nowMs + 20 * dayMs }));
    await first.writeFeedback({ traceId: 'x', atMs: nowMs, caller: 'alice', score: 1, source: 'thumb' });
    await first.close();
    const second = await open({ wallMs: nowMs + 21 * dayMs, traceDaysMax: 7 });
    assert.deepEqual((await second.listTraces({})).map(({ startedAtMs }) => startedAtMs), [nowMs + 20 * dayMs]);
    assert.deepEqual(await second.listFeedback('x'), []);
    await second.close();
  });

  await t.test('a full queue drops the oldest and counts it; a closed store refuses by name', async () => {
    const store = await (await fresh())({ queuedTracesMax: 10, flushMs: 1_000 });
    for (let n = 0; n < 35; n++) store.writeTrace(sampleTrace(n));
    assert.equal(store.droppedTraces, 25);
    assert.deepEqual((await store.listTraces({})).map(({ id }) => parseInt(id, 16)), [34, 33, 32, 31, 30, 29, 28, 27, 26, 25]);
    await store.close();
    await store.close();
    store.writeTrace(sampleTrace(99));
    assert.equal(store.droppedTraces, 26);
    await assert.rejects(store.listTraces({}), { code: 'store_failed' });
  });

  await t.test('two stores on one database write at the same time', async () => {
    const open = await fresh();
    const [a, b] = await Promise.all([open(), open()]);
    for (let n = 0; n < 600; n++) (n % 2 === 0 ? a : b).writeTrace(sampleTrace(n));
    await Promise.all([a.flush(), b.flush()]);
    assert.equal((await a.listTraces({ limit: 1_000 })).length, 600);
    assert.deepEqual(await b.listTraces({ limit: 1_000 }), await a.listTraces({ limit: 1_000 }));
    await Promise.all([a.close(), b.close()]);
  });
}
