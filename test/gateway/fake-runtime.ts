/** A runtime without models: real configuration, admission and traces; answers come from a script. For tests and fuzzing of the gateway. */
import { parseConfig, type ConfigInput } from '../../src/config.ts';
import { TandemError } from '../../src/errors.ts';
import { reached, type Audited, type Part, type Received } from '../../src/exchange.ts';
import type { GatewayRuntime } from '../../src/gateway/index.ts';
import { createGateway, type Gateway } from '../../src/gateway/index.ts';
import type { Model } from '../../src/models/port.ts';
import { Team, type AnyMember } from '../../src/models/team.ts';
import { createAdmission } from '../../src/policy/admission.ts';
import type { Feedback, Store } from '../../src/store/store.ts';
import { systemClock, type Clock } from '../../src/system/clock.ts';
import { seededRandom } from '../../src/system/random.ts';
import { Trace, type CallUsage, type TraceRecord } from '../../src/trace/trace.ts';

/** Answers a request with parts; may throw, wait, or watch the signal. */
export type Script = (received: Received, signal: AbortSignal) => AsyncIterable<Part> | Iterable<Part>;

export const fakeUsage: CallUsage = { promptTokens: 7, cachedPromptTokens: 2, completionTokens: 5, costUsd: 0.00125, energyJ: 1.5, energySource: 'estimated', bytesUp: 100, bytesDown: 200 };

/** A text answer in several parts. */
export function text(...deltas: string[]): Part[] {
  return [...deltas.map((delta): Part => ({ type: 'text', answer: 0, member: 'small', delta })), { type: 'finish', answer: 0, member: 'small', reason: 'stop' }];
}

function fakeModel(id: string, place: 'device' | 'cloud', contextTokensMax: number | undefined): Model {
  return {
    id,
    engine: 'fake',
    place,
    abilities: { levels: ['L0', 'L1', 'Emb'], tools: true, formats: ['text'], topLogprobsMax: 20, sampling: [], continuesPrefix: false, attachments: true, ...(contextTokensMax === undefined ? {} : { contextTokensMax }) },
    async *generate() {
      yield { type: 'finish', reason: 'stop', usage: { promptTokens: 0, completionTokens: 0 }, bytesUp: 0, bytesDown: 0 };
    },
    check: async () => ({ latencyMs: 0 }),
    close: async () => undefined,
  };
}

/** A store in memory. */
export function memoryStore(): Store & { readonly records: TraceRecord[]; spent: number } {
  const feedback: Feedback[] = [];
  const store = {
    records: [] as TraceRecord[],
    spent: 0,
    writeTrace: (record: TraceRecord) => void store.records.push(record),
    getTrace: async (id: string) => store.records.find((record) => record.id === id),
    listTraces: async (query: { limit?: number; caller?: string }) => store.records.filter(({ caller }) => query.caller === undefined || caller === query.caller).slice(-(query.limit ?? 50)).reverse(),
    writeFeedback: async (entry: Feedback) => void feedback.push(entry),
    listFeedback: async (traceId: string) => feedback.filter((entry) => entry.traceId === traceId),
    spentUsd: async () => store.spent,
    droppedTraces: 0,
    flush: async () => undefined,
    close: async () => undefined,
  };
  return store as Store & { readonly records: TraceRecord[]; spent: number };
}

export interface FakeRuntime extends GatewayRuntime {
  readonly store: ReturnType<typeof memoryStore>;
  /** What the script was last asked. */
  readonly asked: Received[];
}

/** Builds the fake. @param script default: says "Hello there." */
export function fakeRuntime(script: Script = () => text('Hello', ' there', '.'), input: ConfigInput = {}, env: Record<string, string> = {}, clock: Clock = systemClock): FakeRuntime {
  const config = parseConfig({ ...input, gateway: { port: 0, shutdownTimeoutMs: 500, ...input.gateway } });
  const small = { id: 'small', roles: ['small'], model: fakeModel('small', 'device', 2_048) } as unknown as AnyMember;
  const large = { id: 'large', roles: ['large'], model: fakeModel('large', 'cloud', undefined), price: { inputUsdPerMillionTokens: 1, outputUsdPerMillionTokens: 2, asOf: '2025-01-01' } } as unknown as AnyMember;
  const team = new Team([small, large]);
  const store = memoryStore();
  const random = seededRandom(7);
  const admission = createAdmission({ config, team, recipes: new Set(['auto', 'small', 'cascade']), store, clock, env });
  const listeners = new Set<(record: TraceRecord) => void>();
  const asked: Received[] = [];
  const finish = (trace: Trace, error?: unknown): void => {
    const record = trace.finish(error === undefined ? 'ok' : TandemError.from(error).code);
    admission.settle(record);
    store.writeTrace(record);
    for (const listener of listeners) listener(record);
  };
  async function* watched(parts: AsyncIterable<Part> | Iterable<Part>, trace: Trace, answers: number): AsyncGenerator<Part> {
    let unfinished = answers;
    let error: unknown = new TandemError('cancelled', { message: 'left' });
    const span = trace.root.child('call small', 'call', { member: 'small', place: 'device' });
    try {
      for await (const part of parts) {
        span.firstPart();
        if (part.type === 'text') trace.share(part.member, 1);
        // As in the real one: what was used is known with the last finish, and whoever leaves then has read to the end.
        if (part.type === 'finish' && --unfinished === 0) {
          error = undefined;
          span.use(fakeUsage);
          span.end();
        }
        yield part;
      }
      error = undefined;
    } catch (thrown) {
      error = thrown;
      throw thrown;
    } finally {
      span.use(fakeUsage);
      span.end();
      finish(trace, error);
    }
  }
  return {
    config,
    team,
    store,
    clock,
    random,
    admission,
    asked,
    models: () => [
      { id: 'tandem/auto', kind: 'recipe', about: 'Picks.' },
      { id: 'tandem/cascade', kind: 'recipe', about: 'Escalates.' },
      { id: 'small', kind: 'member', about: 'Small.' },
      { id: 'large', kind: 'member', about: 'Large.' },
    ],
    onTrace: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    begin: async (received, signal, traceId) => {
      const trace = new Trace(traceId ?? random.hex(16), clock, { surface: received.surface, requestedModel: received.model });
      try {
        const admitted = await admission.admit(received, { trace, signal }, trace.root);
        asked.push(admitted);
        trace.runs(admitted.model.replace('tandem/', ''));
        trace.root.decide('cascade.accept', 'small', 'It was sure.', { probability: 0.9 });
        return { trace, parts: reached<'audited', AsyncIterable<Part>>(watched(script(admitted, signal), trace, received.answers)) as Audited };
      } catch (error) {
        finish(trace, error);
        throw error;
      }
    },
    refused: (surface, key, error) => {
      const trace = new Trace(random.hex(16), clock, { surface, requestedModel: '(unknown)' });
      trace.calledBy(admission.identify(key).name);
      finish(trace, error);
      return trace.id;
    },
    embed: async ({ texts, model, key, dimensions }, signal, traceId) => {
      const trace = new Trace(traceId ?? random.hex(16), clock, { surface: 'embeddings', requestedModel: model });
      await admission.admit({ surface: 'embeddings', model, prompt: { messages: [] }, sampling: { tokensMax: 1 }, answers: 1, policy: {}, knobs: {}, explain: false, key }, { trace, signal }, trace.root);
      finish(trace);
      const vectors = texts.map((entry) => Float32Array.from({ length: dimensions ?? 4 }, (_, index) => (entry.length + index) / 8));
      return { member: 'small', vectors, usage: { promptTokens: texts.length, completionTokens: 0 }, traceId: trace.id, costUsd: 0 };
    },
  };
}

/** Runs a gateway over a runtime for the length of a test. */
export async function withGateway<T>(runtime: GatewayRuntime, use: (url: string, gateway: Gateway) => Promise<T>): Promise<T> {
  const gateway = createGateway(runtime);
  const { url } = await gateway.listen();
  try {
    return await use(url, gateway);
  } finally {
    await gateway.close();
  }
}
