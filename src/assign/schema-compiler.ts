/** Callers' schemas, compiled: those used last are kept. */
import { Ajv } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';

/** Whether a value satisfies a schema. */
export type Check = (value: unknown) => boolean;

/** Schemas that are kept compiled, and how long they may be, in characters: as much as memory holds with ease. */
const keptMax = 32;
const keptCharactersMax = 65_536;

/** Compiled schemas by their text, the one used last at the end; null for one that cannot be compiled. */
const kept = new Map<string, Check | null>();

/** The check of a schema, or null for one that cannot be compiled. @param schema as JSON text */
export function checkOf(schema: string): Check | null {
  const known = kept.get(schema);
  const check = known === undefined ? compile(schema) : known;
  if (schema.length > keptCharactersMax) return check;
  kept.delete(schema);
  kept.set(schema, check);
  for (const oldest of kept.keys()) {
    if (kept.size <= keptMax) break;
    kept.delete(oldest);
  }
  return check;
}

/** Of the dialect that the schema names, draft 7 where it names none or another. */
function compile(text: string): Check | null {
  try {
    const { $schema, ...schema } = JSON.parse(text) as { readonly $schema?: unknown };
    const dialect = typeof $schema === 'string' ? $schema : '';
    const Dialect = dialect.includes('/2020-12/') ? Ajv2020 : dialect.includes('/2019-09/') ? Ajv2019 : Ajv;
    return new Dialect({ strict: false, validateFormats: false, logger: false }).compile(schema) as Check;
  } catch {
    return null;
  }
}
