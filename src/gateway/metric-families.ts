/**
 * Counters and histograms that requests write to: a few Map look-ups and an addition each. Given out in Prometheus' text
 * format (version 0.0.4). `prom-client` gives the metrics of the process; its own labelled counters cost each request
 * several microseconds, which these do not.
 */

type Labels = readonly string[];

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}

function labelText(names: Labels, values: Labels): string {
  return names.map((name, index) => `${name}="${escaped(values[index] ?? '')}"`).join(',');
}

function head(name: string, help: string, type: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

/** A value for each combination of labels: a tree of Maps, since making one key of the labels costs more than all look-ups. */
class Combinations<T> {
  readonly #first = new Map<string, unknown>();
  readonly #all: T[] = [];

  /** Every value, the oldest first. */
  get all(): readonly T[] {
    return this.#all;
  }

  /** The value of a combination. All combinations have the same number of labels, at least one. @param make its first value */
  of(labels: Labels, make: () => T): T {
    let at = this.#first;
    const last = labels.length - 1;
    for (let index = 0; index < last; index++) {
      const label = labels[index] as string;
      let next = at.get(label) as Map<string, unknown> | undefined;
      if (next === undefined) at.set(label, (next = new Map()));
      at = next;
    }
    let value = at.get(labels[last] as string) as T | undefined;
    if (value === undefined) {
      at.set(labels[last] as string, (value = make()));
      this.#all.push(value);
    }
    return value;
  }
}

/** What a counter has counted. */
export type CounterData = readonly { readonly labels: Labels; readonly value: number }[];
/** What a histogram has observed; counts by bucket, not summed up. */
export type HistogramData = readonly { readonly labels: Labels; readonly counts: readonly number[]; readonly sum: number }[];

/** A number for each combination of labels. */
export class CounterFamily {
  readonly #head: string;
  readonly #name: string;
  readonly #labels: Labels;
  readonly #values = new Combinations<{ readonly labels: Labels; value: number }>();

  /** @param name with the unit, ending in `_total` @param labels names of the labels */
  constructor(name: string, help: string, labels: Labels) {
    this.#head = head(name, help, 'counter');
    this.#name = name;
    this.#labels = labels;
  }

  /** Adds to a combination. */
  add(labels: Labels, amount = 1): void {
    this.#values.of(labels, () => ({ labels, value: 0 })).value += amount;
  }

  /** Everything that was counted, as data. */
  counted(): CounterData {
    return this.#values.all.map(({ labels, value }) => ({ labels, value }));
  }

  /** Adds what another family of the same name has counted. */
  merge(counted: CounterData): void {
    for (const { labels, value } of counted) this.add(labels, value);
  }

  /** In Prometheus' format. */
  text(): string {
    return this.#head + this.#values.all.map(({ labels, value }) => `${this.#name}{${labelText(this.#labels, labels)}} ${value}\n`).join('');
  }
}

interface Distribution {
  readonly labels: Labels;
  /** Observations by bucket, not summed up; the last one is beyond every bound. */
  readonly counts: number[];
  sum: number;
}

/** A distribution for each combination of labels. */
export class HistogramFamily {
  readonly #head: string;
  readonly #name: string;
  readonly #labels: Labels;
  readonly #bounds: readonly number[];
  readonly #values = new Combinations<Distribution>();

  /** @param bounds upper bounds of the buckets, rising */
  constructor(name: string, help: string, labels: Labels, bounds: readonly number[]) {
    this.#head = head(name, help, 'histogram');
    this.#name = name;
    this.#labels = labels;
    this.#bounds = bounds;
  }

  /** Notes an observation. */
  observe(labels: Labels, value: number): void {
    const known = this.#of(labels);
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] as number)) bucket++;
    known.counts[bucket] = (known.counts[bucket] ?? 0) + 1;
    known.sum += value;
  }

  /** Everything that was observed, as data. */
  counted(): HistogramData {
    return this.#values.all.map(({ labels, counts, sum }) => ({ labels, counts, sum }));
  }

  /** Adds what another family of the same name and bounds has observed. */
  merge(counted: HistogramData): void {
    for (const { labels, counts, sum } of counted) {
      const known = this.#of(labels);
      counts.forEach((count, bucket) => (known.counts[bucket] = (known.counts[bucket] ?? 0) + count));
      known.sum += sum;
    }
  }

  /** In Prometheus' format. */
  text(): string {
    return this.#head + this.#values.all.map((distribution) => this.#distribution(distribution)).join('');
  }

  #of(labels: Labels): Distribution {
    return this.#values.of(labels, () => ({ labels, counts: new Array<number>(this.#bounds.length + 1).fill(0), sum: 0 }));
  }

  #distribution({ labels, counts, sum }: Distribution): string {
    const text = labelText(this.#labels, labels);
    let total = 0;
    let lines = '';
    counts.forEach((count, index) => {
      total += count;
      lines += `${this.#name}_bucket{${text === '' ? '' : `${text},`}le="${this.#bounds[index] ?? '+Inf'}"} ${total}\n`;
    });
    return `${lines}${this.#name}_sum{${text}} ${sum}\n${this.#name}_count{${text}} ${total}\n`;
  }
}
