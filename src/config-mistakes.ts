/** Mistakes of a configuration in words: where, what was expected, what came. What may be a secret is never shown. */
import type { z } from 'zod';
import type { ConfigMistake } from './config.ts';

type Issue = z.core.$ZodIssue;

/** The mistakes that an issue of the schema stands for. @param input the configuration as it was written */
export function mistakesOf(issue: Issue, input: unknown): ConfigMistake[] {
  const path = pathText(issue.path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((unknown) => ({ path: path === '' ? unknown : `${path}.${unknown}`, expected: 'no such setting', got: 'a value' }));
  }
  return [{ path, expected: expectedBy(issue), got: shown(issue.code === 'invalid_key' ? issue.path.at(-1) : valueAt(input, issue.path), mayHoldSecret(issue.path)) }];
}

/** A path as it would be written in code: `gateway.keys[0].name`. */
export function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, step) => (typeof step === 'number' ? `${text}[${step}]` : text === '' ? String(step) : `${text}.${String(step)}`), '');
}

const kinds: Readonly<Record<string, string>> = { string: 'a text', number: 'a number', int: 'a whole number', boolean: 'true or false', object: 'an object', record: 'an object', array: 'a list' };
const formats: Readonly<Record<string, string>> = { url: 'an http or https URL', date: 'a date such as 2026-01-31' };

/** What an issue says was expected. Patterns and tests of our own say it themselves. */
function expectedBy(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return kinds[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return oneOf(issue.values);
    case 'invalid_union':
      return 'options' in issue && Array.isArray(issue.options) ? oneOf(issue.options) : issue.errors.flatMap(([first]) => (first === undefined ? [] : [expectedBy(first)])).join(' or ');
    case 'invalid_key':
      return issue.issues[0] === undefined ? issue.message : `a name of ${expectedBy(issue.issues[0])}`;
    case 'invalid_format':
      return formats[issue.format] ?? issue.message;
    case 'too_small':
      return `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${counted(issue.origin, issue.minimum)}`;
    case 'too_big':
      return `${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${counted(issue.origin, issue.maximum)}`;
    default:
      return issue.message;
  }
}

function oneOf(values: readonly unknown[]): string {
  const list = values.map((value) => JSON.stringify(value)).join(', ');
  return values.length === 1 ? list : `one of ${list}`;
}

function counted(origin: string, count: number | bigint): string {
  const what = { string: 'character', array: 'item' }[origin];
  return what === undefined ? '' : ` ${what}${count === 1 ? '' : 's'}`;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, step) => (typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[step] : undefined), input);
}

/** Where people put secrets, rightly or not: digests, names of variables, headers, and where the settings of a key should stand. */
function mayHoldSecret(path: readonly PropertyKey[]): boolean {
  const last = path.at(typeof path.at(-1) === 'number' ? -2 : -1);
  return last === 'keys' || path.some((step) => typeof step === 'string' && /^(?:sha256|headers|.*Env)$/.test(step));
}

function shown(value: unknown, secret: boolean): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return secret || value.length > 40 || /:\/\/.*[@?#]/.test(value) ? `a text of ${value.length} characters` : `"${value}"`;
  return Array.isArray(value) ? `a list of ${value.length}` : `${typeof value === 'object' ? 'an' : 'a'} ${typeof value}`;
}
