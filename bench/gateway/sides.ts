/** What the gateway benchmarks compare: a mock upstream asked directly, through Tandem (of any checkout) and through Portkey's gateway. */
import { createHash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ConfigInput } from '../../src/config.ts';
import type { Target } from './load.ts';
import { freePort, start, untilReady } from './processes.ts';

/** A way to the upstream that is measured. */
export interface Side {
  readonly name: string;
  readonly pid: number | undefined;
  /** Where a load generator sends. @param streamed whether the answer is asked for as a stream */
  target(streamed: boolean): Target;
}

/** How a gateway of Tandem is started. */
export interface TandemStart {
  /** Its name in the tables; default `tandem`. */
  readonly name?: string;
  /** The checkout to run; default this one. */
  readonly root?: string;
  /** Flags for Node, such as `--max-semi-space-size=4`; default none. */
  readonly nodeFlags?: readonly string[];
  /** Threads that answer; default 1, as a user gets it. */
  readonly threads?: number;
}

const repository = fileURLToPath(new URL('../..', import.meta.url));
const key = 'bench-key';
const path = '/v1/chat/completions';
const message = 'Please tell anna.berg@example.org in two sentences what the weather is like today in the small town by the sea.';

function body(model: string, streamed: boolean): string {
  return JSON.stringify({ model, messages: [{ role: 'system', content: 'You are a helpful assistant.' }, { role: 'user', content: message }], temperature: 0.7, max_tokens: 100, ...(streamed ? { stream: true } : {}) });
}

/** The mock upstream, asked without a gateway between. */
export async function startUpstream(): Promise<Side & { readonly port: number }> {
  const { process, firstLine } = await start([join(repository, 'bench/gateway/upstream.ts')]);
  const port = Number(firstLine);
  return { name: 'direct', pid: process.pid, port, target: (streamed) => ({ port, path, headers: {}, body: body('mock', streamed) }) };
}

/** A proxy in front of it that does nothing: what any gateway on Node's server and client costs at least. */
export async function startBareProxy(upstream: Side & { readonly port: number }): Promise<Side> {
  const { process, firstLine } = await start([join(repository, 'bench/gateway/bare-proxy.ts'), String(upstream.port)]);
  return { name: 'bare proxy', pid: process.pid, target: (streamed) => ({ ...upstream.target(streamed), port: Number(firstLine) }) };
}

/** The configuration of the gateway under measurement: a key with limits, a cloud member (so masking is on), a budget, traces. */
export function tandemConfig(upstreamPort: number, threads = 1): ConfigInput {
  return {
    members: { large: { engine: 'openai', roles: ['large'], baseUrl: `http://127.0.0.1:${upstreamPort}/v1`, model: 'mock', place: 'cloud', price: { inputUsdPerMillionTokens: 1, outputUsdPerMillionTokens: 4, asOf: '2025-01-01' } } },
    defaultModel: 'tandem/large',
    gateway: { threads, keys: [{ name: 'bench', sha256: createHash('sha256').update(key).digest('hex'), requestsPerMinute: 1_000_000_000, tokensPerMinute: 1_000_000_000_000, costUsdPerDay: 1_000_000 }] },
    policy: { costUsdMaxPerRequest: 1 },
  };
}

/** Tandem as a user starts it: the command line with a configuration file. @param folder where its files may lie */
export async function startTandem(upstreamPort: number, folder: string, { name = 'tandem', root = repository, nodeFlags = [], threads = 1 }: TandemStart = {}): Promise<Side> {
  const home = mkdtempSync(join(folder, 'side-'));
  writeFileSync(join(home, 'tandem.config.ts'), `export default ${JSON.stringify(tandemConfig(upstreamPort, threads), null, 2)};\n`);
  const port = await freePort();
  const { process } = await start([...nodeFlags, join(root, 'src/cli/main.ts'), 'serve', '--config', join(home, 'tandem.config.ts'), '--port', String(port), '--json'], {}, home);
  await untilReady(`http://127.0.0.1:${port}/healthz`);
  return { name, pid: process.pid, target: (streamed) => ({ port, path, headers: { authorization: `Bearer ${key}` }, body: body('tandem/large', streamed) }) };
}

/** The npm package `@portkey-ai/gateway`, started the way its package starts it: one process, one thread. */
export async function startPortkey(upstreamPort: number): Promise<Side> {
  const port = await freePort();
  const { process } = await start([join(repository, 'node_modules/@portkey-ai/gateway/build/start-server.js'), `--port=${port}`, '--headless'], { NODE_ENV: 'production' });
  await untilReady(`http://127.0.0.1:${port}/`);
  const headers = { authorization: 'Bearer none', 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `http://127.0.0.1:${upstreamPort}/v1` };
  return { name: 'portkey', pid: process.pid, target: (streamed) => ({ port, path, headers, body: body('mock', streamed) }) };
}
