/**
 * The journal of a run: a file of JSON lines to which every finished cell (one task under one recipe) is appended at once.
 * The first line says what is measured. A run that was killed is taken up where it stopped; a line that was cut off by the
 * kill is removed first. A journal of other tasks, recipes, members or settings is refused.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { fail } from '../../errors.ts';

const cellSchema = z.object({
  task: z.string(),
  recipe: z.string(),
  /** 0 to 1; 0 when the request failed or the answer was cut off by the length limit. */
  quality: z.number(),
  /** Code of the error catalogue, when the request failed. */
  error: z.string().optional(),
  /** Whether the answer ended by itself. */
  ended: z.boolean(),
  costUsd: z.number(),
  /** False when a member has no known price: `costUsd` leaves its calls out. */
  priceKnown: z.boolean(),
  /** From the request to the end of the answer, and to its first part. */
  latencyMs: z.number(),
  firstPartMs: z.number().nullable(),
  energyJ: z.number(),
  energySource: z.enum(['measured', 'estimated', 'unknown']),
  /** Calls of members, of members in the role `large`, of members in the cloud. */
  calls: z.number(),
  largeCalls: z.number(),
  cloudCalls: z.number(),
  /** Tokens that members wrote, for the answer and on the way to it; and those of members in the role `large`. */
  tokens: z.number(),
  largeTokens: z.number(),
  promptTokens: z.number(),
  /** Bytes of request bodies that went to members in the cloud. */
  cloudBytesUp: z.number(),
  /** Private values that were masked before a member in the cloud could read them. */
  hiddenValues: z.number(),
  /** The answer, and the score of its confidence; kept with `--rows` only. */
  text: z.string().optional(),
  score: z.number().optional(),
});

/** What came of one task under one recipe. */
export type Cell = z.infer<typeof cellSchema>;

/** What a run measures. Two runs with equal headers can share a journal. */
export interface RunHeader {
  readonly kind: 'tandem-bench-run';
  readonly version: 1;
  readonly tasks: { readonly source: string; readonly count: number; readonly sha256: string };
  /** As on the command line, with their knobs. */
  readonly recipes: readonly string[];
  /** Members: id, roles, place, engine; and the SHA-256 of the configuration of members, recipes and routers. */
  readonly team: { readonly members: readonly { readonly id: string; readonly roles: readonly string[]; readonly place: string; readonly engine: string }[]; readonly sha256: string };
  readonly sampling: { readonly tokensMax: number; readonly temperature: number };
  readonly seed: number;
  readonly concurrency: number;
  readonly warmUp: boolean;
  /** Statistic whose scores are kept with the answers; null: neither is kept. */
  readonly keep: string | null;
}

/** An open journal. */
export class Journal {
  readonly #path: string;
  /** Cells that were there when it was opened. */
  readonly done: readonly Cell[];

  private constructor(path: string, done: readonly Cell[]) {
    this.#path = path;
    this.done = done;
  }

  /**
   * Opens or begins a journal.
   * @param resume go on with the one that is there
   * @throws {TandemError} usage (one is there, and `resume` is false), bench_data_invalid (it is of another run, or damaged)
   */
  static open(path: string, header: RunHeader, resume: boolean): Journal {
    if (!existsSync(path)) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, `${JSON.stringify(header)}\n`, { flag: 'wx' });
      return new Journal(path, []);
    }
    if (!resume) fail('usage', 'The folder holds a run. Give --resume to go on with it, or another folder with --out.');
    const text = readFileSync(path, 'utf8');
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    if (whole.length < text.length) truncateSync(path, Buffer.byteLength(whole));
    const [first = '', ...lines] = whole.split('\n').filter((line) => line !== '');
    if (first === '') writeFileSync(path, `${JSON.stringify(header)}\n`);
    else refuseOther(first, header);
    return new Journal(path, lines.map((line, index) => cellOf(line, index + 2)));
  }

  /** Adds a cell; it is in the file when this returns. */
  add(cell: Cell): void {
    appendFileSync(this.#path, `${JSON.stringify(cell)}\n`);
  }
}

function refuseOther(line: string, header: RunHeader): void {
  let found: Record<string, unknown>;
  try {
    found = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return fail('bench_data_invalid', 'The first line of the journal is not JSON.');
  }
  const differing = Object.entries(header).filter(([key, value]) => JSON.stringify(found[key]) !== JSON.stringify(value)).map(([key]) => key);
  if (differing.length > 0) fail('bench_data_invalid', `The journal is of another run: ${differing.join(', ')} differ${differing.length === 1 ? 's' : ''}. Give the same options, or another folder with --out.`);
}

function cellOf(line: string, number: number): Cell {
  try {
    return cellSchema.parse(JSON.parse(line));
  } catch (cause) {
    return fail('bench_data_invalid', { message: `Line ${number} of the journal is damaged.`, cause });
  }
}
