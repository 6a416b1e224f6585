/**
 * JSON Schema to GBNF, the grammar notation of llama.cpp: whatever the grammar allows satisfies the schema.
 *
 * The grammar may allow less than the schema: declared properties come in their order, others are left out, white space is short.
 * What cannot be enforced is refused by its path, never ignored. Covers the subset of OpenAI's strict mode and the keywords
 * listed in `enforced`. JSON Schema 2020-12, core and validation; JSON: RFC 8259.
 */
import type { JsonSchema } from '../exchange.ts';
import { fail } from '../errors.ts';
import { decimalRange, type Bounds } from './decimal-range.ts';
import { integerRange } from './integer-range.ts';
import { formats, primitives } from './json-rules.ts';
import { areApart, commonTypes, holds, impliedType, typesOf, valueKeywords, valuesOf } from './schema-values.ts';

/** Keywords that say nothing about validity. */
const annotations = new Set(['title', 'description', 'default', 'examples', 'example', '$schema', '$id', '$comment', '$anchor', 'deprecated', 'readOnly', 'writeOnly', '$defs', 'definitions', 'contentMediaType', 'contentEncoding', 'nullable']);

/** Keywords that the grammar enforces. */
const enforced = new Set(['type', 'enum', 'const', 'properties', 'required', 'additionalProperties', 'items', 'prefixItems', 'minItems', 'maxItems', 'minLength', 'maxLength', 'pattern', 'format', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'anyOf', 'oneOf', 'allOf', '$ref']);

/** Repetitions that the grammar engine takes. */
const repetitionsMax = 2000;
const depthMax = 64;

/** GBNF of any JSON object. */
export function jsonGrammar(): string {
  const grammar = new SchemaGrammar({});
  return grammar.text(grammar.use('object'));
}

/** GBNF of a schema. @throws {TandemError} schema_unsupported, naming the path */
export function schemaGrammar(schema: JsonSchema): string {
  const grammar = new SchemaGrammar(schema);
  return grammar.text(grammar.rule(schema, 'schema'));
}

/** A grammar under construction: rules from one or several schemas. */
export class SchemaGrammar {
  readonly #rules = new Map<string, string>();
  /** Names of rules that were made for an expression. */
  readonly #names = new Map<string, string>();
  readonly #references = new Map<string, string>();
  readonly #typesOf = new Map<JsonSchema, readonly string[] | undefined>();
  readonly #root: JsonSchema;
  readonly #prefix: string;

  /** @param root the schema that `$ref` points into @param prefix of the rules' names, to join several grammars into one */
  constructor(root: JsonSchema, prefix = '') {
    this.#root = root;
    this.#prefix = prefix;
  }

  /** The grammar whose answers are what the expression says. */
  text(root: string): string {
    return [`root ::= ${root}`, ...this.rules()].join('\n');
  }

  /** The rules, one a line. */
  rules(): string[] {
    return Array.from(this.#rules, ([name, body]) => `${name} ::= ${body}`);
  }

  /** A rule for a schema; gives its name. @param path where the schema stands, for errors */
  rule(schema: unknown, path: string, depth = 0): string {
    if (depth > depthMax) refuse(path, `is nested deeper than ${depthMax}`);
    if (schema === true) return this.use('value');
    if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) refuse(path, 'is not a schema that allows anything');
    return this.#schema(schema as JsonSchema, path, depth);
  }

  /** The name of a built-in rule, with the rules that it needs. */
  use(name: string): string {
    const body = primitives[name];
    if (body === undefined || this.#rules.has(name)) return name;
    this.#rules.set(name, body);
    for (const [word] of body.replace(/"(\\.|[^"\\])*"|\[(\\.|[^\]\\])*\]/g, ' ').matchAll(/[a-z]+/g)) this.use(word);
    return name;
  }

  #schema(schema: JsonSchema, path: string, depth: number): string {
    for (const key of Object.keys(schema)) {
      if (!enforced.has(key) && !annotations.has(key) && !key.startsWith('x-')) refuse(`${path}.${key}`, 'cannot be enforced');
    }
    if (schema['$ref'] !== undefined) return this.#reference(schema, path, depth);
    if (schema['const'] !== undefined || schema['enum'] !== undefined) return this.#named(schema, path);
    if (schema['anyOf'] !== undefined || schema['oneOf'] !== undefined) return this.#either(schema, path, depth);
    if (schema['allOf'] !== undefined) return this.#all(schema, path, depth);
    const type = schema['type'] ?? impliedType(schema);
    if (Array.isArray(type)) return this.#add(type.map((one: unknown) => this.#typed({ ...schema, type: one }, one, path, depth)).join(' | '));
    if (type === undefined) return this.use('value');
    const name = this.#typed(schema, type, path, depth);
    return schema['nullable'] === true ? this.#add(`${name} | ${this.use('null')}`) : name;
  }

  #typed(schema: JsonSchema, type: unknown, path: string, depth: number): string {
    switch (type) {
      case 'null':
      case 'boolean': return this.use(type);
      case 'string': return this.#string(schema, path);
      case 'integer': return this.#integer(schema, path);
      case 'number': return this.#number(schema, path);
      case 'object': return this.#object(schema, path, depth);
      case 'array': return this.#array(schema, path, depth);
      default: return refuse(`${path}.type`, `is ${JSON.stringify(type)}, which is no JSON type`);
    }
  }

  #string(schema: JsonSchema, path: string): string {
    const { format, pattern } = schema;
    if (pattern !== undefined) refuse(`${path}.pattern`, 'cannot be enforced');
    const least = count(schema, 'minLength', path) ?? 0;
    const most = count(schema, 'maxLength', path);
    if (format !== undefined) {
      const inside = Object.hasOwn(formats, String(format)) ? formats[String(format)] : undefined;
      if (inside === undefined) refuse(`${path}.format`, `is ${JSON.stringify(format)}, which cannot be enforced`);
      if (least > 0 || most !== undefined) refuse(`${path}.format`, 'cannot be combined with a length');
      return this.#add(`"\\"" ${this.#using(inside)} "\\""`);
    }
    if (least === 0 && most === undefined) return this.use('string');
    return this.#add(`"\\"" ${this.use('char')}${repeated(least, most, path)} "\\""`);
  }

  #integer(schema: JsonSchema, path: string): string {
    const { least, most } = bounds(schema, path);
    if (least === -Infinity && most === Infinity) return this.use('integer');
    return this.#add(integerRange(Math.ceil(least), Math.floor(most)) ?? refuse(path, 'allows no integer'));
  }

  #number(schema: JsonSchema, path: string): string {
    const range = bounds(schema, path);
    if (range.least === -Infinity && range.most === Infinity) return this.use('number');
    return this.#add(decimalRange(range) ?? refuse(path, 'has bounds too close to be enforced'));
  }

  #object(schema: JsonSchema, path: string, depth: number): string {
    const properties = record(schema['properties'] ?? {}, `${path}.properties`);
    const required = list(schema['required'] ?? [], `${path}.required`);
    const rest = schema['additionalProperties'];
    for (const name of required) if (!Object.hasOwn(properties, String(name))) refuse(`${path}.required`, `names "${String(name)}", which is not in properties`);
    const names = Object.keys(properties);
    if (names.length === 0) {
      if (rest === false) return this.#add('"{" "}"');
      if (rest === undefined || rest === true) return this.use('object');
      const entry = `${this.use('string')} ":" ${this.use('space')} ${this.rule(rest, `${path}.additionalProperties`, depth + 1)}`;
      return this.#add(`"{" space ( ${entry} ( "," space ${entry} )* space )? "}"`);
    }
    this.use('space');
    const entries = names.map((name) => ({ required: required.includes(name), text: `${literal(name)} ":" space ${this.rule(properties[name], `${path}.properties.${name}`, depth + 1)}` }));
    return this.#add(`"{" space ${this.#entries(entries)} space "}"`);
  }

  /** Entries in order, each of the optional ones or not: rules for "nothing written yet" and "something written". */
  #entries(entries: readonly { readonly required: boolean; readonly text: string }[]): string {
    let first = '';
    let later = '';
    for (const { required, text } of entries.toReversed()) {
      const nextLater = later === '' ? '' : ` ${later}`;
      const begun = `${text}${nextLater}`;
      const newFirst = required ? begun : first === '' ? `( ${begun} )?` : `( ${begun} | ${first} )`;
      const newLater = required ? `"," space ${begun}` : `( "," space ${text} )?${nextLater}`;
      first = this.#add(newFirst);
      later = this.#add(newLater);
    }
    return first;
  }

  #array(schema: JsonSchema, path: string, depth: number): string {
    const least = count(schema, 'minItems', path) ?? 0;
    const most = count(schema, 'maxItems', path);
    this.use('space');
    if (schema['prefixItems'] !== undefined) {
      const items = list(schema['prefixItems'], `${path}.prefixItems`).map((item, n) => this.rule(item, `${path}.prefixItems[${n}]`, depth + 1));
      if (least > items.length || (most !== undefined && most < items.length)) refuse(`${path}.prefixItems`, 'does not fit minItems and maxItems');
      return this.#add(`"[" space ${items.join(' "," space ')} space "]"`);
    }
    if (most === 0) return this.#add('"[" "]"');
    const item = this.rule(schema['items'] ?? true, `${path}.items`, depth + 1);
    if (most !== undefined && most < least) refuse(`${path}.maxItems`, 'is below minItems');
    const more = `${item} ( "," space ${item} )${repeated(Math.max(0, least - 1), most === undefined ? undefined : most - 1, path)} space`;
    return this.#add(`"[" space ${least === 0 ? `( ${more} )?` : more} "]"`);
  }

  /** The values that the schema names, as far as its other keywords allow them. */
  #named(schema: JsonSchema, path: string): string {
    const key = schema['const'] === undefined ? 'enum' : 'const';
    const beside = Object.keys(schema).find((other) => enforced.has(other) && !valueKeywords.has(other));
    if (beside !== undefined) refuse(`${path}.${beside}`, `cannot be combined with ${key}`);
    if (schema['enum'] !== undefined) list(schema['enum'], `${path}.enum`);
    const values = (valuesOf(schema) ?? []).filter((value) => holds(schema, value));
    if (values.length === 0) refuse(`${path}.${key}`, 'allows no value');
    return this.#add([...new Set(values.map(literal))].join(' | '));
  }

  #either(schema: JsonSchema, path: string, depth: number): string {
    const key = schema['anyOf'] === undefined ? 'oneOf' : 'anyOf';
    const beside = Object.keys(schema).find((other) => enforced.has(other) && other !== key && other !== 'type');
    if (beside !== undefined) refuse(`${path}.${beside}`, `cannot be combined with ${key}`);
    const options = list(schema[key], `${path}.${key}`);
    if (options.length === 0) refuse(`${path}.${key}`, 'has no alternatives');
    if (key === 'oneOf' && !areApart(options.map((option) => this.#resolved(option)), (option) => this.#types(option))) refuse(`${path}.oneOf`, 'has alternatives that may overlap; use anyOf, or tell them apart by type or a constant property');
    const types = schema['type'] === undefined ? undefined : ([schema['type']].flat() as string[]);
    const rules = new Set<string>();
    options.forEach((option, n) => {
      const narrowed = types === undefined ? option : this.#narrowed(option, types, `${path}.type`);
      if (narrowed !== undefined) rules.add(this.rule(narrowed, `${path}.${key}[${n}]`, depth + 1));
    });
    if (rules.size === 0) refuse(`${path}.type`, `excludes every alternative of ${key}`);
    return this.#add([...rules].join(' | '));
  }

  /** An alternative, of these types only; nothing when it has others only. @param path of the types */
  #narrowed(option: unknown, types: readonly string[], path: string): unknown {
    const own = this.#types(option);
    const common = own === undefined ? [...types] : commonTypes(own, types);
    if (own !== undefined && common.join() === own.join()) return option;
    if (common.length === 0) return undefined;
    const schema = schemaOf(option);
    if (['$ref', 'anyOf', 'oneOf', 'allOf'].some((key) => schema[key] !== undefined)) refuse(path, 'cannot be combined with alternatives that refer to others');
    return { ...schema, type: common };
  }

  /** Types of what a schema allows; undefined when it could be any. */
  #types(option: unknown, depth = 0): readonly string[] | undefined {
    const schema = this.#resolved(option);
    if (!this.#typesOf.has(schema)) {
      this.#typesOf.set(schema, undefined); // of one that holds itself, as long as that is not known
      if (depth <= depthMax) this.#typesOf.set(schema, this.#foundTypes(schema, depth));
    }
    return this.#typesOf.get(schema);
  }

  #foundTypes(schema: JsonSchema, depth: number): readonly string[] | undefined {
    const values = valuesOf(schema);
    if (values !== undefined) return [...new Set(values.map((value) => typesOf(value)[0] as string))];
    const parts = schema['anyOf'] ?? schema['oneOf'] ?? schema['allOf'];
    if (Array.isArray(parts)) {
      const all = parts.map((part) => this.#types(part, depth + 1));
      return all.includes(undefined) ? undefined : [...new Set(all.flatMap((types) => types ?? []))];
    }
    const type = schema['type'] ?? impliedType(schema);
    if (type === undefined) return undefined;
    return schema['nullable'] === true && !Array.isArray(type) ? [String(type), 'null'] : [type].flat().map(String);
  }

  #all(schema: JsonSchema, path: string, depth: number): string {
    const parts = list(schema['allOf'], `${path}.allOf`);
    const beside = Object.keys(schema).filter((key) => enforced.has(key) && key !== 'allOf');
    if (parts.length !== 1 || beside.length > 0) refuse(`${path}.allOf`, 'cannot be enforced with more than one part');
    return this.rule(parts[0], `${path}.allOf[0]`, depth + 1);
  }

  #reference(schema: JsonSchema, path: string, depth: number): string {
    const beside = Object.keys(schema).find((other) => enforced.has(other) && other !== '$ref');
    if (beside !== undefined) refuse(`${path}.${beside}`, 'cannot be combined with $ref');
    const reference = schema['$ref'];
    const known = this.#references.get(String(reference));
    if (known !== undefined) return known;
    const target = this.#target(reference) ?? refuse(`${path}.$ref`, 'does not point at a place in the schema itself, by a path that begins with "#/"');
    const name = `${this.#prefix}ref-${this.#references.size}`;
    this.#references.set(String(reference), name);
    const body = this.rule(target, String(reference), depth + 1);
    if (body === name) refuse(`${path}.$ref`, 'points at itself');
    this.#rules.set(name, body);
    return name;
  }

  /** What a reference points at, if it is a path in the schema. */
  #target(reference: unknown): unknown {
    if (typeof reference !== 'string' || !/^#(\/|$)/.test(reference)) return undefined;
    let target: unknown = this.#root;
    for (const step of reference.split('/').slice(1)) {
      const key = decoded(step).replaceAll('~1', '/').replaceAll('~0', '~');
      if (typeof target !== 'object' || target === null || !Object.hasOwn(target, key)) return undefined;
      target = (target as Record<string, unknown>)[key];
    }
    return target;
  }

  /** A schema without the references that lead to it. */
  #resolved(option: unknown): JsonSchema {
    let schema = schemaOf(option);
    for (let n = 0; n < depthMax && schema['$ref'] !== undefined; n++) schema = schemaOf(this.#target(schema['$ref']));
    return schema;
  }

  #using(expression: string): string {
    for (const [word] of expression.replace(/"(\\.|[^"\\])*"|\[(\\.|[^\]\\])*\]/g, ' ').matchAll(/[a-z]+/g)) this.use(word);
    return expression;
  }

  #add(body: string): string {
    const known = this.#names.get(body);
    if (known !== undefined) return known;
    const name = `${this.#prefix}r${this.#rules.size}`;
    this.#rules.set(name, body);
    this.#names.set(body, name);
    return name;
  }
}

/** A JSON value as a literal of the grammar. */
export function literal(value: unknown): string {
  return quoted(JSON.stringify(value));
}

/** A text as a literal of the grammar. */
export function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&').replace(/\n/g, '\\n').replace(/\r/g, '\\r').replace(/\t/g, '\\t')}"`;
}

function refuse(path: string, why: string): never {
  return fail('schema_unsupported', { message: `${path} ${why}.`, param: path });
}

function repeated(least: number, most: number | undefined, path: string): string {
  if (least > repetitionsMax) refuse(path, `asks for more than ${repetitionsMax} repetitions`);
  if (most === undefined) return least === 0 ? '*' : `{${least},}`;
  if (most < least) refuse(path, 'allows no length');
  return `{${least},${Math.min(most, repetitionsMax)}}`;
}

function count(schema: JsonSchema, key: string, path: string): number | undefined {
  const value = schema[key];
  if (value === undefined) return undefined;
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : refuse(`${path}.${key}`, 'is not a count');
}

function bounds(schema: JsonSchema, path: string): Bounds {
  const read = (key: string): number | undefined => {
    const value = schema[key];
    if (value === undefined) return undefined;
    return typeof value === 'number' && Math.abs(value) < 1e15 ? value : refuse(`${path}.${key}`, 'is not a number of at most 15 digits');
  };
  const [minimum, maximum, above, below] = [read('minimum') ?? -Infinity, read('maximum') ?? Infinity, read('exclusiveMinimum') ?? -Infinity, read('exclusiveMaximum') ?? Infinity];
  const integer = schema['type'] === 'integer';
  const next = (value: number, by: number): number => (integer && Number.isInteger(value) ? value + by : value);
  return { least: Math.max(minimum, next(above, 1)), most: Math.min(maximum, next(below, -1)), leastOpen: above >= minimum && above > -Infinity, mostOpen: below <= maximum && below < Infinity };
}

function schemaOf(option: unknown): JsonSchema {
  return typeof option === 'object' && option !== null && !Array.isArray(option) ? (option as JsonSchema) : {};
}

/** A step of a path in a URL's fragment; as it stands where it cannot be decoded. */
function decoded(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

function record(value: unknown, path: string): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : refuse(path, 'is not an object');
}

function list(value: unknown, path: string): readonly unknown[] {
  return Array.isArray(value) ? value : refuse(path, 'is not a list');
}
