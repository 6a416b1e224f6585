/**
 * Measures a live team: every task under every recipe, through the same pipeline as any other request. Nothing is simulated;
 * what a cell holds is read off the trace of its request.
 *
 * Order. Tasks are taken in blocks of at least sixteen; a block is gone through once for every recipe, and in each round every task
 * meets another recipe, drawn anew. A machine that slows down slows all recipes alike, and a prompt comes again only
 * after fifteen others, so that no recipe lives off the prompt cache that another one has filled.
 */
import { alternativesWanted, confidence, type ConfidenceStatistic } from '../../assign/confidence.ts';
import { fail, TandemError } from '../../errors.ts';
import type { EmittedToken, FinishReason, Received } from '../../exchange.ts';
import { seededRandom } from '../../system/random.ts';
import type { Runtime } from '../../tandem.ts';
import type { SpanRecord, TraceRecord } from '../../trace/trace.ts';
import { qualityOfAnswer } from './checks.ts';
import type { Cell } from './journal.ts';
import type { Contender } from './recipes.ts';
import type { LiveTask } from './tasks.ts';

/** What is to be measured. */
export interface LiveRun {
  readonly runtime: Runtime;
  readonly tasks: readonly LiveTask[];
  readonly contenders: readonly Contender[];
  readonly sampling: { readonly tokensMax: number; readonly temperature: number };
  readonly seed: number;
  /** Requests at once. More than one shares the machine among them: latencies are then those under load. */
  readonly concurrency: number;
  /** Ask every contender once, unmeasured, before the first cell. */
  readonly warmUp: boolean;
  /** Keep the answers, and their score by this statistic where log-probabilities come, for `--rows`. */
  readonly keep?: ConfidenceStatistic | undefined;
  /** Cells that an earlier run has measured. */
  readonly done: readonly Cell[];
  readonly signal: AbortSignal;
  /** Called with each finished cell and how many are finished, the earlier ones included. */
  readonly onCell: (cell: Cell, finished: number, total: number) => void;
}

/** Measures what is not done yet. @returns all cells. @throws {TandemError} cancelled, when the signal aborts; what is done is done */
export async function runLive(run: LiveRun): Promise<Cell[]> {
  const { tasks, contenders, done, concurrency, signal, onCell } = run;
  const finished = [...done];
  const known = new Set(done.map(keyOf));
  const queue = cellsOf(tasks, contenders, run.seed).filter(({ task, contender }) => !known.has(keyOf({ task: task.id, recipe: contender.name })));
  const traces = new Map<string, TraceRecord>();
  const stop = run.runtime.onTrace((record) => void traces.set(record.id, record));
  try {
    if (run.warmUp && queue.length > 0) for (const contender of contenders) await warm(run, contender, traces);
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let at = next++; at < queue.length; at = next++) {
        const each = queue[at];
        if (each === undefined || signal.aborted) return;
        const cell = await measured(run, each.task, each.contender, traces);
        if (signal.aborted) return;
        finished.push(cell);
        onCell(cell, finished.length, tasks.length * contenders.length);
      }
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, queue.length) }, worker));
  } finally {
    stop();
  }
  if (signal.aborted) fail('cancelled', 'The run was stopped. What was measured is kept; --resume goes on with it.');
  return finished;
}

function keyOf({ task, recipe }: Pick<Cell, 'task' | 'recipe'>): string {
  return `${recipe}\n${task}`;
}

interface Pair {
  readonly task: LiveTask;
  readonly contender: Contender;
}

const blockSizeMin = 16;

function cellsOf(tasks: readonly LiveTask[], contenders: readonly Contender[], seed: number): Pair[] {
  const random = seededRandom(seed);
  const cells: Pair[] = [];
  const blocks = Math.max(1, Math.floor(tasks.length / blockSizeMin));
  for (let b = 0; b < blocks; b++) {
    const block = tasks.slice(Math.floor((b * tasks.length) / blocks), Math.floor(((b + 1) * tasks.length) / blocks)).map((task) => ({ task, order: contenders.map((contender) => ({ contender, at: random.next() })).sort((a, b) => a.at - b.at) }));
    for (let round = 0; round < contenders.length; round++) {
      for (const { task, order } of block) {
        const contender = order[round]?.contender;
        if (contender !== undefined) cells.push({ task, contender });
      }
    }
  }
  return cells;
}

async function warm(run: LiveRun, contender: Contender, traces: Map<string, TraceRecord>): Promise<void> {
  const [first] = run.tasks;
  if (first === undefined) return;
  const { error } = await measured(run, first, contender, traces);
  if (error !== undefined && stopsRun.has(error)) fail('recipe_unavailable', `The recipe "${contender.name}" cannot run on this team with these settings (${error}).`);
}

/** Failures that every request of a recipe would meet. */
const stopsRun: ReadonlySet<string> = new Set(['recipe_unavailable', 'model_not_found', 'knob_invalid', 'parameter_unsupported', 'policy_violated', 'ability_missing', 'upstream_auth']);

interface Answer {
  readonly text: string;
  readonly tokens: readonly EmittedToken[];
  readonly reason: FinishReason | undefined;
  readonly firstPartMs: number | null;
  readonly error: string | undefined;
}

async function measured(run: LiveRun, task: LiveTask, contender: Contender, traces: Map<string, TraceRecord>): Promise<Cell> {
  const { runtime } = run;
  const id = runtime.random.hex(16);
  const startedMs = runtime.clock.monotonicMs();
  const answer = await answered(run, requestOf(run, task, contender), id, startedMs);
  const elapsedMs = runtime.clock.monotonicMs() - startedMs;
  const record = traces.get(id);
  traces.delete(id);
  const ended = answer.error === undefined && answer.reason === 'stop';
  return {
    task: task.id,
    recipe: contender.name,
    quality: ended ? qualityOfAnswer(answer.text, task) : 0,
    ...(answer.error === undefined ? {} : { error: answer.error }),
    ended,
    ...countsOf(record, runtime),
    latencyMs: elapsedMs,
    firstPartMs: answer.firstPartMs,
    ...(run.keep === undefined ? {} : keptOf(answer, run.keep)),
  };
}

function keptOf({ text, tokens }: Answer, statistic: ConfidenceStatistic): Pick<Cell, 'text' | 'score'> {
  const score = confidence(statistic, tokens);
  return { text, ...(score === undefined ? {} : { score: Math.min(1, Math.max(0, score)) }) };
}

async function answered({ runtime, signal }: LiveRun, received: Received, id: string, startedMs: number): Promise<Answer> {
  let text = '';
  const tokens: EmittedToken[] = [];
  let reason: FinishReason | undefined;
  let firstPartMs: number | null = null;
  try {
    const { parts } = await runtime.handle(received, signal, id);
    for await (const part of parts) {
      firstPartMs ??= runtime.clock.monotonicMs() - startedMs;
      if (part.type === 'text') {
        text += part.delta;
        if (part.tokens !== undefined) tokens.push(...part.tokens);
      } else if (part.type === 'finish') reason = part.reason;
    }
    return { text, tokens, reason, firstPartMs, error: undefined };
  } catch (thrown) {
    return { text, tokens, reason, firstPartMs, error: TandemError.from(thrown).code };
  }
}

function requestOf({ runtime, sampling, seed, keep }: LiveRun, { messages, tokensMax, schema }: LiveTask, { model, knobs }: Contender): Received {
  // A setting that some member does not honour would make its recipes refuse the request.
  const all = (field: 'temperature' | 'seed'): boolean => runtime.team.members.every((member) => member.model.abilities.sampling.includes(field) || !member.model.abilities.levels.includes('L0'));
  return {
    surface: 'library',
    model,
    prompt: { messages },
    sampling: {
      tokensMax: tokensMax ?? sampling.tokensMax,
      ...(all('temperature') ? { temperature: sampling.temperature } : {}),
      ...(all('seed') ? { seed } : {}),
      ...(keep !== undefined && runtime.team.members.every((member) => member.model.abilities.levels.includes('L1') || !member.model.abilities.levels.includes('L0')) ? { topLogprobs: alternativesWanted[keep] } : {}),
      ...(schema === undefined ? {} : { format: { type: 'json-schema', name: 'answer', schema, strict: true } }),
    },
    answers: 1,
    policy: {},
    knobs,
    explain: false,
    key: undefined,
  };
}

type Counts = Omit<Cell, 'task' | 'recipe' | 'quality' | 'error' | 'ended' | 'latencyMs' | 'firstPartMs' | 'text' | 'score'>;

function countsOf(record: TraceRecord | undefined, { team }: Runtime): Counts {
  const calls = record?.spans.filter(({ kind }) => kind === 'call') ?? [];
  const large = new Set(team.inRole('large').map((member) => member.id));
  const byLarge = calls.filter(({ member }) => member !== undefined && large.has(member));
  const toCloud = calls.filter(({ place }) => place === 'cloud');
  const sum = (spans: readonly SpanRecord[], pick: (usage: NonNullable<SpanRecord['usage']>) => number): number => spans.reduce((total, { usage }) => total + (usage === undefined ? 0 : pick(usage)), 0);
  const usage = record?.usage;
  return {
    costUsd: usage?.costUsd ?? 0,
    priceKnown: usage?.priceKnown !== false,
    energyJ: usage?.energyJ ?? 0,
    energySource: usage?.energySource ?? 'unknown',
    calls: calls.length,
    largeCalls: byLarge.length,
    cloudCalls: toCloud.length,
    tokens: sum(calls, ({ completionTokens }) => completionTokens),
    largeTokens: sum(byLarge, ({ completionTokens }) => completionTokens),
    promptTokens: usage?.promptTokens ?? 0,
    cloudBytesUp: sum(toCloud, ({ bytesUp }) => bytesUp),
    hiddenValues: toCloud.length === 0 ? 0 : Object.values(record?.hidden ?? {}).reduce((total, each) => total + each, 0),
  };
}
