/**
 * Rows on their way to another thread: all texts in one, all numbers in one array. A message of lists is written value by value; with it, writing a
 * trace cost the thread that answers requests a fifth more (`bench/store.ts`).
 */
import type { SqlValue } from './driver.ts';

/** Rows of one length, value after value. */
export interface PackedRows {
  /** How many values a row has. */
  readonly columns: number;
  /** What each value is: 0 nothing, 1 a number, 2 a text. */
  readonly kinds: Uint8Array;
  /** The numbers; for a text its length in UTF-16 units. */
  readonly numbers: Float64Array;
  /** All texts, one after the other. */
  readonly text: string;
}

const number = 1;
const text = 2;

/** Packs rows that all have as many values as the first. */
export function packRows(rows: readonly (readonly SqlValue[])[]): PackedRows {
  const columns = rows[0]?.length ?? 0;
  const kinds = new Uint8Array(rows.length * columns);
  const numbers = new Float64Array(rows.length * columns);
  let all = '';
  let at = 0;
  for (const row of rows) {
    for (let column = 0; column < columns; column++, at++) {
      const value = row[column];
      if (typeof value === 'number') {
        kinds[at] = number;
        numbers[at] = value;
      } else if (typeof value === 'string') {
        kinds[at] = text;
        numbers[at] = value.length;
        all += value;
      }
    }
  }
  return { columns, kinds, numbers, text: all };
}

/** The rows, one at a time. */
export function* unpackedRows({ columns, kinds, numbers, text: all }: PackedRows): Generator<SqlValue[], void, undefined> {
  let from = 0;
  for (let at = 0; at < kinds.length; at += columns) {
    const row: SqlValue[] = [];
    for (let n = at; n < at + columns; n++) {
      const kind = kinds[n];
      if (kind === text) row.push(all.slice(from, (from += numbers[n] as number)));
      else row.push(kind === number ? (numbers[n] as number) : null);
    }
    yield row;
  }
}
