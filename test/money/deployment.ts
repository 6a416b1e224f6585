/** A running Tandem whose member `large` is behind a mock server, for tests of money. */
import { after } from 'node:test';
import type { ConfigInput } from '../../src/config.ts';
import { TandemError } from '../../src/errors.ts';
import type { Part, Received } from '../../src/exchange.ts';
import { createTandem, type Overrides, type Runtime } from '../../src/tandem.ts';
import type { TraceRecord } from '../../src/trace/trace.ts';
import { startMock, type MockOpenAi } from '../conformance/mock-openai.ts';

type Server = Partial<Extract<NonNullable<ConfigInput['members']>[string], { engine: 'openai' }>>;

/** A price with these dollars a million tokens. */
export const price = (input: number, output: number): NonNullable<Server['price']> => ({ inputUsdPerMillionTokens: input, outputUsdPerMillionTokens: output, asOf: '2026-01-01' });

/** What is deployed. */
export interface Deployed {
  readonly mock: MockOpenAi;
  readonly runtime: Runtime;
  /** Finished traces, oldest first. */
  readonly traces: readonly TraceRecord[];
  /** Asks, and gives the error's code, or `ok`. */
  readonly outcome: (received?: Partial<Received>, signal?: AbortSignal) => Promise<string>;
}

/** Starts it; it is closed after the test file. @param large settings of the member */
export async function deployed(large: Server, config: ConfigInput = {}, overrides: Overrides = {}): Promise<Deployed> {
  const mock = await startMock({ answer: () => 'yes indeed' });
  const traces: TraceRecord[] = [];
  const member = { engine: 'openai' as const, baseUrl: mock.url, model: 'mock', retriesMax: 0, ...large };
  const runtime = await createTandem({ store: { path: ':memory:' }, defaultModel: 'large', ...config, members: { large: member, ...config.members } }, { env: {}, onTrace: (record) => traces.push(record), ...overrides });
  after(async () => {
    await runtime.close();
    await mock.close();
  });
  const outcome = async (received: Partial<Received> = {}, signal = new AbortController().signal): Promise<string> => {
    try {
      const { parts } = await runtime.handle(requestOf(received), signal);
      for await (const _ of parts as AsyncIterable<Part>);
      return 'ok';
    } catch (error) {
      return TandemError.from(error).code;
    }
  };
  return { mock, runtime, traces, outcome };
}

/** A request of the library for a short answer. */
export function requestOf(more: Partial<Received>): Received {
  return { surface: 'library', model: 'large', prompt: { messages: [{ role: 'user', content: 'Is it?' }] }, sampling: { tokensMax: 16 }, answers: 1, policy: {}, knobs: {}, explain: false, key: undefined, ...more };
}
