/** Changes the texts of a JSON Schema, and the numbers in it that may be private values. */
import { fail } from './errors.ts';

/** Levels of nesting that `mapSchema` follows; deeper JSON would exhaust the stack. */
const schemaDepthMax = 256;
/** Numbers nearer to 0 than this have too few digits to be anything but numbers. */
const numberMin = 100_000;
/** Keywords whose value must stay a number. */
const bounds: ReadonlySet<string> = new Set(['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf', ...['Length', 'Items', 'Properties', 'Contains'].flatMap((of) => [`min${of}`, `max${of}`])]);

/**
 * A JSON Schema with every text in it changed, and every number of six digits or more, which then becomes a text; save
 * the names of properties and what bounds numbers, lengths and counts. The same value when nothing changes.
 * @throws {TandemError} parameter_invalid when it is nested deeper than 256 levels
 */
export function mapSchema(value: unknown, change: (text: string) => string, depth = 0): unknown {
  if (typeof value === 'string') return change(value);
  if (typeof value === 'number') return mapNumber(value, change);
  if (typeof value !== 'object' || value === null) return value;
  if (depth > schemaDepthMax) fail('parameter_invalid', `A JSON value may be nested at most ${schemaDepthMax} levels deep; this one is deeper.`);
  if (Array.isArray(value)) return mapList(value, (item) => mapSchema(item, change, depth + 1));
  let changed: Record<string, unknown> | undefined;
  for (const key in value) {
    const before = (value as Record<string, unknown>)[key];
    const after = typeof before === 'number' && bounds.has(key) ? before : mapSchema(before, change, depth + 1);
    if (after !== before) (changed ??= { ...value })[key] = after;
  }
  return changed ?? value;
}

function mapNumber(value: number, change: (text: string) => string): number | string {
  if (Math.abs(value) < numberMin) return value;
  const written = String(value);
  const changed = change(written);
  return changed === written ? value : changed;
}

/** A list with every item changed; the same list when nothing changes. */
export function mapList<A, B>(list: readonly A[], change: (item: A, index: number) => B): readonly B[] {
  let changed: B[] | undefined;
  for (let index = 0; index < list.length; index++) {
    const before = list[index] as A;
    const after = change(before, index);
    if ((after as unknown) === before) changed?.push(after);
    else (changed ??= list.slice(0, index) as unknown[] as B[]).push(after);
  }
  return changed ?? (list as unknown as readonly B[]);
}
