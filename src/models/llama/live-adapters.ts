/**
 * The adapters of an open model: those of the configuration, and those of its `adaptersFile`, which is read again whenever it changes.
 *
 * A change is taken over as a whole or not at all: when the file has a mistake or an adapter cannot be loaded, what was in force stays in force
 * and a warning says why. Requests that run go on with the adapter they began with. A name whose file or scale changes gets
 * a new key in the engine, so that nothing computed with the old one is reused.
 */
import { readFileSync, statSync, unwatchFile, watchFile } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { adaptersFileSchema, type AdaptersFile, type MemberConfig } from '../../config.ts';
import { fail, TandemError } from '../../errors.ts';
import type { EngineContext } from '../context.ts';
import type { AdapterTable } from './host.ts';
import { findModelFile } from './model-file.ts';
import type { OpenSettings } from './protocol.ts';

type Settings = Extract<MemberConfig, { engine: 'llama' }>;

/** How often the file is looked at. Milliseconds. */
const lookEveryMs = 500;

interface Placed {
  readonly file: string;
  readonly scale: number;
  /** Tells versions of the file apart: size and time of its last change. */
  readonly version: string;
}

/** What is in force, and what changes it. */
export class LiveAdapters implements AdapterTable {
  readonly #settings: Settings;
  readonly #context: EngineContext;
  readonly #path: string | undefined;
  #placed: ReadonlyMap<string, Placed> = new Map();
  #keys: ReadonlyMap<string, string> = new Map();
  #adapter: string;
  #versions = 0;
  #changing: Promise<void> = Promise.resolve();
  #onChange: (() => void) | undefined;
  #closed = false;

  /** @throws {TandemError} model_file_missing, config_invalid */
  constructor(settings: Settings, context: EngineContext) {
    this.#settings = settings;
    this.#context = context;
    const { adaptersFile } = settings;
    this.#path = adaptersFile === undefined ? undefined : isAbsolute(adaptersFile) ? adaptersFile : resolve(context.baseDir, adaptersFile);
    const { placed, adapter } = this.#read();
    this.#take(placed, this.#keysOf(placed), adapter);
    this.#adapter = adapter;
  }

  get adapter(): string {
    return this.#adapter;
  }

  get keys(): ReadonlyMap<string, string> {
    return this.#keys;
  }

  /** Key, file and scale of each, as the engine takes them. */
  get adapters(): OpenSettings['adapters'] {
    return this.#forEngine(this.#placed, this.#keys);
  }

  /** Looks at the file from now on. @param load makes the engine take a whole new set @param id of the member, for warnings */
  watch(load: (adapters: OpenSettings['adapters']) => Promise<unknown>, id: string): void {
    if (this.#path === undefined) return;
    this.#onChange = (): void => {
      this.#changing = this.#changing.then(() => this.#change(load)).catch((error: unknown) => {
        process.emitWarning(`members.${id}.adaptersFile: ${TandemError.from(error).message} The adapters stay as they were.`, 'TandemWarning');
      });
    };
    watchFile(this.#path, { interval: lookEveryMs, persistent: false }, this.#onChange);
  }

  /** Looks no more. Other models that look at the same file go on. */
  close(): void {
    this.#closed = true;
    if (this.#path !== undefined && this.#onChange !== undefined) unwatchFile(this.#path, this.#onChange);
  }

  async #change(load: (adapters: OpenSettings['adapters']) => Promise<unknown>): Promise<void> {
    if (this.#closed) return;
    const { placed, adapter } = this.#read();
    const keys = this.#keysOf(placed);
    const wanted = this.#forEngine(placed, keys);
    // the old ones go only when no request can be on its way with them
    await load({ ...this.adapters, ...wanted });
    this.#take(placed, keys, adapter);
    await load(wanted);
  }

  #take(placed: ReadonlyMap<string, Placed>, keys: ReadonlyMap<string, string>, adapter: string): void {
    this.#placed = placed;
    this.#keys = keys;
    this.#adapter = adapter;
  }

  #read(): { readonly placed: ReadonlyMap<string, Placed>; readonly adapter: string } {
    const file = this.#readFile();
    const placed = new Map<string, Placed>();
    for (const [name, { file: path, scale }] of Object.entries({ ...this.#settings.adapters, ...file.adapters })) {
      const found = findModelFile(path, this.#context);
      const { size, mtimeMs, ino } = statSync(found);
      placed.set(name, { file: found, scale, version: `${ino}:${size}:${mtimeMs}` });
    }
    const adapter = file.adapter === undefined ? (this.#settings.adapter ?? '') : (file.adapter ?? '');
    if (adapter !== '' && !placed.has(adapter)) fail('config_invalid', `adapter: expected one of ${[...placed.keys()].join(', ') || '(no adapters given)'}, got "${adapter}".`);
    return { placed, adapter };
  }

  /** The file; one that is not there yet names nothing. */
  #readFile(): AdaptersFile {
    let text: string;
    try {
      text = this.#path === undefined ? '{}' : readFileSync(this.#path, 'utf8');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { adapters: {} };
      fail('config_invalid', { message: 'The file cannot be read.', cause });
    }
    try {
      const { success, data, error } = adaptersFileSchema.safeParse(JSON.parse(text));
      if (success) return data;
      const [issue] = error.issues;
      fail('config_invalid', `${issue?.path.join('.') || 'file'}: ${issue?.message}.`);
    } catch (cause) {
      if (cause instanceof SyntaxError) fail('config_invalid', { message: 'The file is not valid JSON.', cause });
      throw cause;
    }
  }

  /** Names that mean the same file at the same scale keep their key. */
  #keysOf(placed: ReadonlyMap<string, Placed>): ReadonlyMap<string, string> {
    return new Map([...placed].map(([name, { file, scale, version }]) => {
      const before = this.#placed.get(name);
      const same = before !== undefined && before.file === file && before.scale === scale && before.version === version;
      return [name, same ? (this.#keys.get(name) as string) : `${name}#${++this.#versions}`];
    }));
  }

  #forEngine(placed: ReadonlyMap<string, Placed>, keys: ReadonlyMap<string, string>): OpenSettings['adapters'] {
    return Object.fromEntries([...placed].map(([name, { file, scale }]) => [keys.get(name) as string, { file, scale }]));
  }
}
