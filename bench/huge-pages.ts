/**
 * What huge pages under a model's weights gain: the bundled large model three times in one process, twice mapped from its file (ordinary pages) and once on
 * huge ones (`src/models/llama/huge-pages.ts`), writing a few tokens each in turn, so that whatever the machine does meets all of them alike.
 *
 *   npm run bench:huge-pages [-- --file model.gguf] [-- --rounds 400]
 *
 * The second one on ordinary pages shows how far two equal ones lie apart.
 */
import { parseArgs } from 'node:util';
import { loadNative, type Native } from '../src/models/llama/bindings.ts';
import { LlamaContext } from '../src/models/llama/context.ts';
import { WeightsCache } from '../src/models/llama/weights.ts';
import { bundledFile } from './engine/members.ts';
import { quantile } from './gateway/load.ts';
import { machineLine, printFigures } from './machine.ts';

const { values } = parseArgs({ options: { file: { type: 'string' }, rounds: { type: 'string', default: '400' } } });
const file = values.file ?? bundledFile('large');
if (file === undefined) throw new TypeError('The bundled model is missing: say --file.');
const rounds = Number(values.rounds);
/** Tokens in a turn, and in a sequence. */
const turnTokens = 16;
const sequenceTokens = 128;

/** A model that writes. */
class Writer {
  readonly tokenMs: number[] = [];
  readonly #context: LlamaContext;
  #length = 0;

  constructor(native: Native, path: string) {
    const weights = new WeightsCache(native).acquire(path, 0);
    this.#context = new LlamaContext(native, weights, { cells: 256, layout: 'apart', sequences: 1, threads: 1, embeddings: false, pool: native.newThreadpool(1), stop: 0n });
  }

  /** Writes a turn's tokens; the first one, which brings the caches back, does not count. */
  turn(): void {
    if (this.#length + turnTokens > sequenceTokens) {
      this.#context.cut(0, 0);
      this.#length = 0;
    }
    this.#write();
    const beganMs = performance.now();
    for (let n = 1; n < turnTokens; n++) this.#write();
    this.tokenMs.push((performance.now() - beganMs) / (turnTokens - 1));
  }

  #write(): void {
    this.#context.add(5 + this.#length, this.#length, 0, true);
    this.#length++;
    this.#context.decode();
  }
}

console.log(`huge pages; ${machineLine()}`);
const native = await loadNative(false);
const plain = { ...native, madvise: undefined };
const writers = { plain: new Writer(plain, file), again: new Writer(plain, file), huge: new Writer(native, file) };
const all = Object.values(writers);
for (let round = 0; round < rounds; round++) for (let n = 0; n < all.length; n++) (all[(round + n) % all.length] as Writer).turn();
for (const [name, { tokenMs }] of Object.entries(writers)) console.log(`${name.padEnd(6)} ${(quantile(tokenMs, 0.5) * 1000).toFixed(0)} us a token (median; best tenth ${(quantile(tokenMs, 0.1) * 1000).toFixed(0)})`);
/** Median of how many times as fast as the plain one, turn by turn. */
const gain = ({ tokenMs }: Writer): number => Math.round(quantile(writers.plain.tokenMs.map((ms, n) => ms / (tokenMs[n] as number)), 0.5) * 1000) / 1000;
printFigures('huge-pages', { hugePagesGain: gain(writers.huge), control: gain(writers.again) });
process.exit(); // the models are not needed any more, and closing them says nothing
