/** The gateway's keys: known by their SHA-256 only, compared in constant time. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { Config } from '../config.ts';
import { fail } from '../errors.ts';

/** Settings of a key. */
export type KeySettings = Config['gateway']['keys'][number];

/** A key that callers may show. */
export interface KnownKey {
  readonly settings: KeySettings;
  readonly digest: Buffer;
}

function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}

/** Digests that are remembered at most; hashing costs more than the rest of admission. */
const rememberedMax = 256;

/** Recognises keys. */
export class KeyRing {
  readonly #keys: readonly KnownKey[];
  /** Digests of keys that were recognised. What was shown is still compared as a digest, in constant time. */
  readonly #digests = new Map<string, Buffer>();

  /** @throws {TandemError} config_invalid when a key's variable is not set, or two keys are equal */
  constructor(settings: readonly KeySettings[], env: Readonly<Record<string, string | undefined>>) {
    this.#keys = settings.map((entry, index) => ({ settings: entry, digest: digestOf(entry, index, env) }));
    this.#keys.forEach((key, index) => {
      const twin = this.#keys.findIndex((other) => other.digest.equals(key.digest));
      if (twin !== index) fail('config_invalid', { message: `gateway.keys[${index}]: expected a key of its own, got that of gateway.keys[${twin}].`, param: `gateway.keys[${index}]` });
    });
  }

  /** Whether callers must show a key. */
  get needed(): boolean {
    return this.#keys.length > 0;
  }

  /** All keys. */
  get keys(): readonly KnownKey[] {
    return this.#keys;
  }

  /** The key that a caller shows. @throws {TandemError} key_missing, key_invalid */
  recognise(shown: string | undefined): KnownKey {
    if (shown === undefined || shown === '') fail('key_missing', 'Expected a key in the header authorization, got none.');
    const digest = this.#digests.get(shown) ?? sha256(shown);
    let found: KnownKey | undefined;
    for (const key of this.#keys) if (timingSafeEqual(key.digest, digest)) found = key;
    if (found === undefined) fail('key_invalid', 'The key is not one of this gateway.');
    if (this.#digests.size < rememberedMax) this.#digests.set(shown, digest);
    return found;
  }
}

function digestOf(settings: KeySettings, index: number, env: Readonly<Record<string, string | undefined>>): Buffer {
  if (settings.sha256 !== undefined) return Buffer.from(settings.sha256, 'hex');
  const value = env[settings.keyEnv ?? ''];
  if (value === undefined || value === '') {
    fail('config_invalid', { message: `gateway.keys[${index}].keyEnv: expected the name of an environment variable that holds the key, got one that is not set.`, param: `gateway.keys[${index}].keyEnv` });
  }
  return sha256(value);
}
