/** Which values a JSON schema names, of which types they are, and whether schemas have values in common. */
import type { JsonSchema } from '../exchange.ts';

/** Keywords that may stand beside named values (`holds`), and those that name them. */
export const valueKeywords: ReadonlySet<string> = new Set(['type', 'enum', 'const', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'minLength', 'maxLength']);

/** The values that `const` and `enum` name; undefined without either. */
export function valuesOf(schema: JsonSchema): readonly unknown[] | undefined {
  const listed = Array.isArray(schema['enum']) ? (schema['enum'] as readonly unknown[]) : undefined;
  if (schema['const'] === undefined) return listed;
  const constant = JSON.stringify(schema['const']);
  return listed === undefined || listed.some((value) => JSON.stringify(value) === constant) ? [schema['const']] : [];
}

/** Types of a value, the narrowest first. */
export function typesOf(value: unknown): string[] {
  if (value === null) return ['null'];
  if (Array.isArray(value)) return ['array'];
  if (typeof value === 'number') return Number.isInteger(value) ? ['integer', 'number'] : ['number'];
  return [typeof value];
}

/** The type that keywords without `type` speak of. */
export function impliedType(schema: JsonSchema): string | undefined {
  if ('properties' in schema || 'required' in schema || 'additionalProperties' in schema) return 'object';
  if ('items' in schema || 'prefixItems' in schema || 'minItems' in schema || 'maxItems' in schema) return 'array';
  if ('minLength' in schema || 'maxLength' in schema || 'pattern' in schema || 'format' in schema) return 'string';
  if ('minimum' in schema || 'maximum' in schema || 'exclusiveMinimum' in schema || 'exclusiveMaximum' in schema) return 'number';
  return undefined;
}

/** Whether a value satisfies what stands beside named values: its type, bounds of numbers, lengths of texts. */
export function holds(schema: JsonSchema, value: unknown): boolean {
  const { type, minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength } = schema;
  if (type !== undefined && !typesOf(value).some((one) => [type].flat().includes(one))) return false;
  if (typeof value === 'number') return !(value < Number(minimum) || value > Number(maximum) || value <= Number(exclusiveMinimum) || value >= Number(exclusiveMaximum));
  const length = typeof value === 'string' ? [...value].length : undefined;
  return length === undefined || !(length < Number(minLength) || length > Number(maxLength));
}

/** Types of both lists; a whole number is a number too. */
export function commonTypes(some: readonly string[], others: readonly string[]): string[] {
  return some.flatMap((type) => {
    if (others.includes(type) || (type === 'integer' && others.includes('number'))) return [type];
    return type === 'number' && others.includes('integer') ? ['integer'] : [];
  });
}

/**
 * Whether no value can satisfy two of the schemas: by their types, by the values that they name, or by a required property with different values.
 * @param types types of what a schema allows, undefined when it could be any
 */
export function areApart(schemas: readonly JsonSchema[], types: (schema: JsonSchema) => readonly string[] | undefined): boolean {
  const byType = new Map<string, JsonSchema[]>();
  const values = new Set<string>();
  const valueTypes = new Set<string | undefined>();
  for (const schema of schemas) {
    const named = valuesOf(schema);
    for (const value of new Set(named?.map((one) => JSON.stringify(one)))) {
      if (values.has(value)) return false;
      values.add(value);
      valueTypes.add(typesOf(JSON.parse(value)).at(-1));
    }
    if (named !== undefined) continue;
    const allowed = types(schema);
    if (allowed === undefined) return false;
    for (const type of new Set(allowed.map((one) => (one === 'integer' ? 'number' : one)))) {
      const group = byType.get(type);
      if (group === undefined) byType.set(type, [schema]);
      else group.push(schema);
    }
  }
  return [...byType].every(([type, group]) => !valueTypes.has(type) && (group.length === 1 || (type === 'object' && differInAProperty(group))));
}

function differInAProperty(schemas: readonly JsonSchema[]): boolean {
  return Object.keys((schemas[0]?.['properties'] ?? {}) as object).some((name) => {
    const seen = new Set<string>();
    return schemas.every((schema) => {
      const property = (schema['properties'] as Record<string, JsonSchema> | undefined)?.[name];
      const required = Array.isArray(schema['required']) && schema['required'].includes(name);
      const values = required && property !== undefined ? valuesOf(property) : undefined;
      return values !== undefined && [...new Set(values.map((value) => JSON.stringify(value)))].every((value) => !seen.has(value) && seen.add(value));
    });
  });
}
