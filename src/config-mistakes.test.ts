/** Mistakes of a configuration: what is said of each, and that no secret is. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { checkConfig } from './config.ts';

const said = (input: unknown): string[] => checkConfig(input).mistakes.map(({ path, expected, got }) => `${path}: expected ${expected}, got ${got}`);
const member = (settings: object): object => ({ members: { it: settings } });
const server = (settings: object): object => member({ engine: 'openai', baseUrl: 'http://127.0.0.1:1/v1', model: 'x', ...settings });

test('every kind of mistake says what was expected', () => {
  const cases: readonly (readonly [unknown, string])[] = [
    [server({ baseUrl: 'nope' }), 'members.it.baseUrl: expected an http or https URL, got "nope"'],
    [member({ engine: 'opnai' }), 'members.it.engine: expected one of "llama", "openai", "ai-sdk", "recorded", "static", got "opnai"'],
    [{ members: { 'bad id!': { engine: 'static' } } }, 'members.bad id!: expected a name of letters, digits, ".", "_", ":", "-", at most 64, got "bad id!"'],
    [{ gateway: { threads: 'many' } }, 'gateway.threads: expected "auto" or a number, got "many"'],
    [{ gateway: { port: 99_999 } }, 'gateway.port: expected at most 65535, got 99999'],
    [{ gateway: { host: '' } }, 'gateway.host: expected at least 1 character, got ""'],
    [{ policy: { objective: 'fast' } }, 'policy.objective: expected one of "quality", "balanced", "cost", "latency", "private", got "fast"'],
    [{ store: { flushMs: 5.5 } }, 'store.flushMs: expected a whole number, got 5.5'],
    [{ pilot: { learn: 'yes' } }, 'pilot.learn: expected true or false, got "yes"'],
    [server({ baseUrl: 'http://user:pw@host/v1' }), 'members.it.baseUrl: expected an address without user name, password, query and fragment, got a text of 22 characters'],
    [server({ baseUrl: 'http://host/v1?key=s' }), 'members.it.baseUrl: expected an address without user name, password, query and fragment, got a text of 20 characters'],
    [server({ roles: [] }), 'members.it.roles: expected at least 1 item, got a list of 0'],
    [server({ price: { inputUsdPerMillionTokens: 1, outputUsdPerMillionTokens: 1, asOf: 'today' } }), 'members.it.price.asOf: expected a date such as 2026-01-31, got "today"'],
    [member({ engine: 'ai-sdk', model: {} }), 'members.it.model: expected an AI SDK language model, got an object'],
    [{ aliases: [] }, 'aliases: expected an object, got a list of 0'],
    [null, ': expected an object, got null'],
    [{ prot: 1 }, 'prot: expected no such setting, got a value'],
    [{ gateway: { keys: [{ name: 'a', keyEnv: 'A' }, { name: 'a', keyEnv: 'B' }] } }, 'gateway.keys[1].name: expected a name of its own, got that of gateway.keys[0]'],
  ];
  for (const [input, expected] of cases) assert.deepEqual(said(input), [expected]);
});

test('what may be a secret is not shown', () => {
  const secret = 'sk-plain-secret';
  const inputs = [
    { gateway: { keys: [{ name: 'a', sha256: secret }] } },
    { gateway: { keys: [{ name: 'a', keyEnv: secret }] } },
    { gateway: { keys: [secret] } },
    { gateway: { keys: secret } },
    server({ apiKeyEnv: secret }),
    server({ headers: secret }),
    server({ baseUrl: `ftp://user:${secret}@host/v1` }),
  ];
  for (const input of inputs) {
    const [line = ''] = said(input);
    assert.match(line, /got a text of \d+ characters$/);
    assert.doesNotMatch(line, /secret/);
  }
});
