/**
 * The trace of one request: a tree of spans (who did what, tokens, dollars, joules, milliseconds, bytes, what was
 * disclosed) and the decisions with their inputs. Stages and recipes append to it; none of them reads it.
 *
 * Recording is plain object building: a span that notes nothing allocates nothing but itself, since thousands of
 * requests a second pass here. Writing happens later and elsewhere (`store/`, `trace/otel.ts`), off the hot path.
 */
import type { Clock } from '../system/clock.ts';

/** A value in a span's attributes. Never text of a request or an answer. */
export type AttributeValue = string | number | boolean;

/** What a model call used. */
export interface CallUsage {
  readonly promptTokens: number;
  readonly cachedPromptTokens: number;
  readonly completionTokens: number;
  /** Completion tokens spent on hidden reasoning, where a server said so. */
  readonly reasoningTokens?: number;
  readonly costUsd: number;
  readonly energyJ: number;
  /** Whether the joules were read from the machine or estimated from a profile. */
  readonly energySource: 'measured' | 'estimated' | 'unknown';
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** False when tokens went to a member in the cloud whose price is not known: `costUsd` then leaves them out. */
  readonly priceKnown?: false;
}

/** Why one of several ways was taken. */
export interface Decision {
  /** What was decided, such as `cascade.accept`. */
  readonly name: string;
  readonly chosen: string;
  /** One sentence. */
  readonly because: string;
  /** The numbers and names that decided it. */
  readonly inputs: Readonly<Record<string, AttributeValue>>;
  readonly atMs: number;
}

/** A span as it is stored. Times are milliseconds since the trace began. */
export interface SpanRecord {
  readonly id: number;
  readonly parent: number | null;
  /** Stage, recipe or `call <member>`. */
  readonly name: string;
  readonly kind: 'stage' | 'recipe' | 'call';
  readonly startMs: number;
  readonly endMs: number;
  readonly member?: string;
  readonly place?: string;
  /** Name of the member's model: what its server calls it, or the name of its file. */
  readonly model?: string;
  /** Milliseconds to the first part of a call. */
  readonly firstPartMs?: number;
  readonly usage?: CallUsage;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly events: readonly { readonly atMs: number; readonly name: string; readonly fields: Readonly<Record<string, AttributeValue>> }[];
  readonly decisions: readonly Decision[];
  /** Code of the catalogue, when the span failed. */
  readonly error?: string;
}

/** A finished trace as it is stored. */
export interface TraceRecord {
  /** 32 lower-case hex digits, a W3C trace id. */
  readonly id: string;
  /** Milliseconds since 1970 at which the request came. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly surface: string;
  /** Model id that was asked for; `(unknown)` where none of this deployment was, or none could be read. */
  readonly requestedModel: string;
  readonly recipe: string;
  readonly caller: string;
  /** `ok`, or the code of the error that ended it. */
  readonly outcome: string;
  readonly usage: CallUsage;
  /** Completion tokens of the final answer written by each member. */
  readonly shares: Readonly<Record<string, number>>;
  /** Private values hidden from cloud members, by kind. */
  readonly hidden: Readonly<Record<string, number>>;
  readonly spans: readonly SpanRecord[];
}

/** A span while it runs. */
export interface Span {
  readonly id: number;
  /** Adds to the attributes. */
  set(attributes: Readonly<Record<string, AttributeValue>>): void;
  /** Notes something that happened. */
  event(name: string, fields?: Readonly<Record<string, AttributeValue>>): void;
  /** Records a decision with the inputs that led to it. */
  decide(name: string, chosen: string, because: string, inputs?: Readonly<Record<string, AttributeValue>>): void;
  /** Opens a span under this one. */
  child(name: string, kind: SpanRecord['kind'], fields?: SpanFields): Span;
  /** Marks the first part of a call. */
  firstPart(): void;
  /** Sets what a call used. */
  use(usage: CallUsage): void;
  /** Ends the span; the error's code if it failed. Later calls do nothing. */
  end(error?: string): void;
}

/** Who does the work of a span. */
export interface SpanFields {
  readonly member?: string;
  readonly place?: string;
  readonly model?: string | undefined;
}

const none: CallUsage = { promptTokens: 0, cachedPromptTokens: 0, completionTokens: 0, costUsd: 0, energyJ: 0, energySource: 'unknown', bytesUp: 0, bytesDown: 0 };

/** Sum of usages. The energy source is the least certain one of those that used any. */
export function sumUsage(usages: readonly CallUsage[]): CallUsage {
  const sum = { ...none } as { -readonly [K in keyof CallUsage]: CallUsage[K] };
  const certainty = ['unknown', 'estimated', 'measured'] as const;
  let least: CallUsage['energySource'] | undefined;
  for (const usage of usages) {
    sum.promptTokens += usage.promptTokens;
    sum.cachedPromptTokens += usage.cachedPromptTokens;
    sum.completionTokens += usage.completionTokens;
    sum.costUsd += usage.costUsd;
    sum.energyJ += usage.energyJ;
    sum.bytesUp += usage.bytesUp;
    sum.bytesDown += usage.bytesDown;
    if (usage.reasoningTokens !== undefined) sum.reasoningTokens = (sum.reasoningTokens ?? 0) + usage.reasoningTokens;
    if (usage.priceKnown === false) sum.priceKnown = false;
    if (least === undefined || certainty.indexOf(usage.energySource) < certainty.indexOf(least)) least = usage.energySource;
  }
  sum.energySource = least ?? 'unknown';
  return sum;
}

const nothing: Readonly<Record<string, AttributeValue>> = Object.freeze({});
const noEvents: SpanRecord['events'] = Object.freeze([]) as SpanRecord['events'];
const noDecisions: readonly Decision[] = Object.freeze([]) as readonly Decision[];

class OpenSpan implements Span {
  readonly id: number;
  private readonly trace: Trace;
  private readonly parent: number | null;
  private readonly name: string;
  private readonly kind: SpanRecord['kind'];
  private readonly fields: SpanFields | undefined;
  private readonly startMs: number;
  private attributes: Record<string, AttributeValue> | undefined = undefined;
  private events: SpanRecord['events'][number][] | undefined = undefined;
  private firstPartMs = -1;
  private endMs = -1;
  private error: string | undefined = undefined;
  decisions: Decision[] | undefined = undefined;
  usage: CallUsage | undefined = undefined;

  constructor(trace: Trace, id: number, parent: number | null, name: string, kind: SpanRecord['kind'], fields: SpanFields | undefined, startMs: number) {
    this.trace = trace;
    this.id = id;
    this.parent = parent;
    this.name = name;
    this.kind = kind;
    this.fields = fields;
    this.startMs = startMs;
  }

  set(attributes: Readonly<Record<string, AttributeValue>>): void {
    if (this.attributes === undefined) this.attributes = { ...attributes };
    else Object.assign(this.attributes, attributes);
  }
  event(name: string, fields: Readonly<Record<string, AttributeValue>> = nothing): void {
    (this.events ??= []).push({ atMs: this.trace.elapsedMs(), name, fields });
  }
  decide(name: string, chosen: string, because: string, inputs: Readonly<Record<string, AttributeValue>> = nothing): void {
    (this.decisions ??= []).push({ name, chosen, because, inputs, atMs: this.trace.elapsedMs() });
  }
  child(name: string, kind: SpanRecord['kind'], fields?: SpanFields): Span {
    return this.trace.open(this.id, name, kind, fields);
  }
  firstPart(): void {
    if (this.firstPartMs < 0) this.firstPartMs = this.trace.elapsedMs() - this.startMs;
  }
  use(usage: CallUsage): void {
    this.usage = usage;
    if (usage.priceKnown === false) this.set({ priceKnown: false });
  }
  end(error?: string): void {
    if (this.endMs >= 0) return;
    this.endMs = this.trace.elapsedMs();
    this.error = error;
  }
  endAt(ms: number, error: string | undefined): void {
    if (this.endMs >= 0) return;
    this.endMs = ms;
    this.error = error;
  }
  record(nowMs: number): SpanRecord {
    const { fields, usage, error } = this;
    const record: { -readonly [K in keyof SpanRecord]: SpanRecord[K] } = {
      id: this.id,
      parent: this.parent,
      name: this.name,
      kind: this.kind,
      startMs: this.startMs,
      endMs: this.endMs < 0 ? nowMs : this.endMs,
      attributes: this.attributes ?? nothing,
      events: this.events ?? noEvents,
      decisions: this.decisions ?? noDecisions,
    };
    if (fields !== undefined) {
      if (fields.member !== undefined) record.member = fields.member;
      if (fields.place !== undefined) record.place = fields.place;
      if (fields.model !== undefined) record.model = fields.model;
    }
    if (this.firstPartMs >= 0) record.firstPartMs = this.firstPartMs;
    if (usage !== undefined) record.usage = usage;
    if (error !== undefined) record.error = error;
    return record;
  }
}

/** The trace of a request that is running. */
export class Trace {
  readonly id: string;
  readonly root: Span;
  private readonly clock: Clock;
  private readonly startedAtMs: number;
  private readonly startMs: number;
  private readonly surface: string;
  private readonly requestedModel: string;
  private readonly spans: OpenSpan[] = [];
  private readonly sharesByMember: Record<string, number> = {};
  private runningRecipe = '';
  private caller = '';
  private hidden: Readonly<Record<string, number>> = {};

  /** @param id 32 hex digits, unique to the request @param clock where time comes from */
  constructor(id: string, clock: Clock, about: { readonly surface: string; readonly requestedModel: string }) {
    this.id = id;
    this.clock = clock;
    this.startedAtMs = clock.wallMs();
    this.startMs = clock.monotonicMs();
    this.surface = about.surface;
    this.requestedModel = about.requestedModel;
    this.root = new OpenSpan(this, 0, null, 'request', 'stage', undefined, 0);
    this.spans.push(this.root as OpenSpan);
  }

  /** Milliseconds since the trace began. */
  elapsedMs(): number {
    return this.clock.monotonicMs() - this.startMs;
  }
  /** Opens a span; stages and recipes use `Span.child`. */
  open(parent: number | null, name: string, kind: SpanRecord['kind'], fields?: SpanFields): Span {
    const span = new OpenSpan(this, this.spans.length, parent, name, kind, fields, this.elapsedMs());
    this.spans.push(span);
    return span;
  }
  /** Names the recipe that runs. */
  runs(recipe: string): void {
    this.runningRecipe = recipe;
  }
  /** Names the caller. */
  calledBy(caller: string): void {
    this.caller = caller;
  }
  /** Notes that the request is a step of the caller's own trace (`trace/traceparent.ts`); exporters then file it there. */
  joins(parent: { readonly traceId: string; readonly spanId: string; readonly sampled: boolean }): void {
    this.root.set({ callerTraceId: parent.traceId, callerSpanId: parent.spanId, callerSampled: parent.sampled });
  }
  /** Records what the masked view hides. Kept by reference: kinds found later count too. */
  hides(hidden: Readonly<Record<string, number>>): void {
    this.hidden = hidden;
  }
  /** Counts tokens of the final answer for the member that wrote them. */
  share(member: string, tokens: number): void {
    this.sharesByMember[member] = (this.sharesByMember[member] ?? 0) + tokens;
  }
  /** The recipe that runs; empty before it is chosen. */
  get recipe(): string {
    return this.runningRecipe;
  }
  /** Who wrote how many tokens of the answer so far. */
  get shares(): Readonly<Record<string, number>> {
    return this.sharesByMember;
  }
  /** What all calls used so far. */
  usage(): CallUsage {
    const usages: CallUsage[] = [];
    for (const span of this.spans) if (span.usage !== undefined) usages.push(span.usage);
    return sumUsage(usages);
  }
  /** All decisions so far. */
  decisions(): readonly Decision[] {
    return this.spans.flatMap((span) => span.decisions ?? []);
  }
  /** Ends the trace and gives what is to be stored. Open spans end now. */
  finish(outcome: string): TraceRecord {
    const nowMs = this.elapsedMs();
    const spans: SpanRecord[] = [];
    for (const span of this.spans) {
      span.endAt(nowMs, span === this.root && outcome !== 'ok' ? outcome : undefined);
      spans.push(span.record(nowMs));
    }
    return {
      id: this.id,
      startedAtMs: this.startedAtMs,
      durationMs: nowMs,
      surface: this.surface,
      requestedModel: this.requestedModel,
      recipe: this.runningRecipe,
      caller: this.caller,
      outcome,
      usage: this.usage(),
      shares: this.sharesByMember,
      hidden: { ...this.hidden },
      spans,
    };
  }
}
