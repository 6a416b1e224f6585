/**
 * GET /metrics for Prometheus. Names follow OpenTelemetry's GenAI conventions where there is one; labels are surfaces,
 * recipes, members, places and outcomes only, which a configuration bounds. Where keys are asked for, it takes an admin key.
 */
import type { Registry } from 'prom-client';
import { fail } from '../errors.ts';
import type { SpanRecord, TraceRecord } from '../trace/trace.ts';
import type { Handler } from './http/router.ts';
import { CounterFamily, HistogramFamily, type CounterData, type HistogramData } from './metric-families.ts';
import type { Peers } from './peers.ts';
import type { GatewayRuntime } from './runtime.ts';

const secondsBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

/** What one gateway has counted, and what it is doing now. Plain data. */
export interface GatewayCounts {
  readonly families: readonly (CounterData | HistogramData)[];
  /** Requests being answered. */
  readonly working: number;
  /** Streams that are open. */
  readonly streams: number;
  /** Traces that were not stored. */
  readonly droppedTraces: number;
}

/** The metrics of a gateway. */
export interface Metrics {
  readonly handler: Handler;
  /** What this gateway alone has counted. */
  counts(): GatewayCounts;
  /** Stops listening to traces. */
  close(): void;
}

/**
 * Counts finished traces.
 * @param gauges what the gateway is doing now @param peers other gateways of the process, whose counts are added
 */
export function createMetrics(runtime: GatewayRuntime, gauges: () => { readonly working: number; readonly streams: number }, peers?: Peers): Metrics {
  const traces = new TraceCounts();
  let latest: GatewayCounts | undefined;
  let registry: Promise<Registry> | undefined;
  const stop = runtime.onTrace((record) => traces.add(record));
  const counts = (): GatewayCounts => ({ families: traces.counted(), ...gauges(), droppedTraces: runtime.store.droppedTraces });
  return {
    handler: async (call) => {
      const caller = runtime.admission.identify(call.key);
      if (!caller.admin) fail('key_forbidden', `The key "${caller.name}" may not read the metrics: it is no admin key.`);
      const all = [counts(), ...((await peers?.counts()) ?? [])];
      latest = together(all);
      const process = await (registry ??= createRegistry(() => latest ?? counts()));
      const sum = new TraceCounts();
      for (const { families } of all) sum.merge(families);
      call.text(200, process.contentType, `${sum.text()}${await process.metrics()}`);
    },
    counts,
    close: stop,
  };
}

function together(all: readonly GatewayCounts[]): GatewayCounts {
  const sum = (field: (counts: GatewayCounts) => number): number => all.reduce((total, counts) => total + field(counts), 0);
  return { families: [], working: sum(({ working }) => working), streams: sum(({ streams }) => streams), droppedTraces: sum(({ droppedTraces }) => droppedTraces) };
}

/** The metrics of the process and what the gateway is doing now; loaded when someone asks for the first time. */
async function createRegistry(now: () => GatewayCounts): Promise<Registry> {
  const { Gauge, Registry, collectDefaultMetrics } = await import('prom-client');
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({ name, help, registers: [registry], collect() { this.set(value()); } });
  };
  gauge('tandem_requests_in_flight', 'Requests being answered now.', () => now().working);
  gauge('tandem_streams_open', 'Event streams open now.', () => now().streams);
  gauge('tandem_traces_dropped', 'Traces that were not stored because the queue was full.', () => now().droppedTraces);
  return registry;
}

/** What finished traces add up to. */
class TraceCounts {
  readonly #requests = new CounterFamily('tandem_requests_total', 'Finished requests.', ['surface', 'recipe', 'outcome']);
  readonly #duration = new HistogramFamily('gen_ai_server_request_duration_seconds', 'Time from the request to the end of its answer.', ['surface', 'recipe'], secondsBounds);
  readonly #firstToken = new HistogramFamily('gen_ai_server_time_to_first_token_seconds', 'Time from the request to the first part of a member.', ['recipe'], secondsBounds);
  readonly #calls = new HistogramFamily('gen_ai_client_operation_duration_seconds', 'Time of one call of a member.', ['member', 'place', 'outcome'], secondsBounds);
  readonly #tokens = new CounterFamily('gen_ai_client_token_usage_total', 'Tokens of calls, by type: input, cached, output.', ['member', 'type']);
  readonly #cost = new CounterFamily('tandem_cost_usd_total', 'Dollars spent.', ['member']);
  readonly #energy = new CounterFamily('tandem_energy_joules_total', 'Joules used.', ['member', 'source']);
  readonly #hidden = new CounterFamily('tandem_hidden_values_total', 'Private values hidden from cloud members.', ['kind']);

  /** Counts a finished trace. */
  add(record: TraceRecord): void {
    const { surface, recipe, outcome, durationMs, spans, hidden } = record;
    this.#requests.add([surface, recipe, outcome]);
    this.#duration.observe([surface, recipe], durationMs / 1000);
    let firstMs = Number.POSITIVE_INFINITY;
    for (const span of spans) {
      if (span.kind !== 'call' || span.member === undefined) continue;
      this.#call(span, span.member);
      if (span.firstPartMs !== undefined) firstMs = Math.min(firstMs, span.startMs + span.firstPartMs);
    }
    if (firstMs < Number.POSITIVE_INFINITY) this.#firstToken.observe([recipe], firstMs / 1000);
    for (const kind in hidden) if ((hidden[kind] ?? 0) > 0) this.#hidden.add([kind], hidden[kind]);
  }

  /** Everything, in Prometheus' format. */
  text(): string {
    return this.#families.map((family) => `${family.text()}\n`).join('');
  }

  /** Everything, as data. */
  counted(): (CounterData | HistogramData)[] {
    return this.#families.map((family) => family.counted());
  }

  /** Adds what another gateway has counted. */
  merge(families: readonly (CounterData | HistogramData)[]): void {
    this.#families.forEach((family, index) => family.merge((families[index] ?? []) as never));
  }

  get #families(): readonly (CounterFamily | HistogramFamily)[] {
    return [this.#requests, this.#duration, this.#firstToken, this.#calls, this.#tokens, this.#cost, this.#energy, this.#hidden];
  }

  #call({ place, error, usage, startMs, endMs }: SpanRecord, member: string): void {
    this.#calls.observe([member, place ?? '', error ?? 'ok'], (endMs - startMs) / 1000);
    if (usage === undefined) return;
    this.#tokens.add([member, 'input'], usage.promptTokens);
    if (usage.cachedPromptTokens > 0) this.#tokens.add([member, 'cached'], usage.cachedPromptTokens);
    this.#tokens.add([member, 'output'], usage.completionTokens);
    if (usage.costUsd > 0) this.#cost.add([member], usage.costUsd);
    if (usage.energyJ > 0) this.#energy.add([member, usage.energySource], usage.energyJ);
  }
}
