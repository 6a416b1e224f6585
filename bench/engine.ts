/**
 * What the engine costs around llama.cpp, and what speculation gains.
 *
 *   npm run bench:engine [-- --quick] [-- --peer-dir <folder of llama-bench>]   (or TANDEM_LLAMA_BENCH) [-- --peer-libraries own]
 *
 * The peers run on the engine's own native libraries, so that both sides have the same kernels; with `--peer-libraries own` on those
 * that they were built with. `engine/peers.ts` says how to build them.
 *
 * Speed: tokens a second of the bundled large model through the product's own way (`engine/own-speed.ts`) against llama-bench on the
 * same file and threads, each side in a process of its own: where a process's memory happens to lie makes some percent of
 * difference for as long as it lives. Decoding waits for memory, which other guests of the machine use too, so there the two processes of a
 * pair run in turn (`engine/in-turn.ts`). The median of the pairs' ratios counts.
 * Several at once: tokens a second of four requests at a time against one.
 * Speculation: greedy answers to held-out prompts of the tasks that the pair was trained for, plain and speculative in turn, whole time each, the prompt being
 * cached for both; beside it the same on free prose, where a small draft model is of little use; and the time of decoding against
 * llama-speculative-simple on the same pair and prompts.
 */
import { parseArgs } from 'node:util';
import { plainSettings } from '../src/decoding/settings.ts';
import { defaultThreads } from '../src/models/llama/model-file.ts';
import type { Model } from '../src/models/port.ts';
import { benchPrompts, bundledFile, openMembers, timed, type Asked } from './engine/members.ts';
import { inTurn, turnFor, uninterrupted } from './engine/in-turn.ts';
import { ownRepetitions, ownSpeed, startOwnDecoding } from './engine/own-speed.ts';
import { Peers } from './engine/peers.ts';
import { quantile } from './gateway/load.ts';
import { machineLine, printFigures } from './machine.ts';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, 'peer-dir': { type: 'string' }, 'peer-libraries': { type: 'string', default: 'engine' }, threads: { type: 'string' }, large: { type: 'string' }, small: { type: 'string' } } });
const wantedLibraries = values['peer-libraries'];
if (wantedLibraries !== 'engine' && wantedLibraries !== 'own') throw new TypeError(`--peer-libraries takes engine or own, got ${wantedLibraries}.`);
const rounds = 3;
const pairs = values.quick ? 2 : 6;
const prompts = values.quick ? 12 : 45;
const answerTokens = 96;
const promptTokens = 512;
const decodeTokens = 128;
/** Measured this often a round by either side; the best counts, since a busy machine only ever slows down. */
const repetitions = values.quick ? 10 : 20;
/** Where two processes run in turn, each repeats for about so long; then the median counts, since both see the same minutes. Milliseconds. */
const pairMs = values.quick ? 7_000 : 20_000;
/** But at least and at most so often. */
const pairRepetitions = { min: 30, max: 120 };

const median = (numbers: readonly number[]): number => quantile(numbers, 0.5);
const rounded = (value: number | null): number | null => (value === null || Number.isNaN(value) ? null : Number(value.toFixed(3)));

/** Reading prompts: a fresh process of each side a round, one after the other. With it, about how fast decoding is. */
function promptSpeeds(file: string, threads: number, peers: Peers | undefined): { prompt: number; promptRatio: number | null; decodeAbout: number } {
  const own: number[] = [];
  const decodes: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const { prompt, decode } = ownSpeed(file, threads, promptTokens, decodeTokens, repetitions);
    own.push(prompt);
    decodes.push(decode);
    const theirs = peers?.speed(file, threads, promptTokens, decodeTokens, repetitions);
    if (theirs !== undefined) ratios.push(prompt / theirs.prompt);
    console.log(`round ${round + 1}: prompt ${prompt.toFixed(0)} tok/s, decode ${decode.toFixed(0)} tok/s${theirs === undefined ? '' : `; llama-bench ${theirs.prompt.toFixed(0)}, ${theirs.decode.toFixed(0)}`}`);
  }
  return { prompt: median(own), promptRatio: ratios.length === 0 ? null : median(ratios), decodeAbout: median(decodes) };
}

/**
 * Decoding: a fresh pair of processes each time, in turn. The medians of the repetitions that were not interrupted are compared.
 * @param about tokens a second, near enough to choose the length of the turns
 */
async function decodeSpeeds(file: string, threads: number, peers: Peers | undefined, about: number): Promise<{ decode: number; decodeRatio: number | null }> {
  const repetitionMs = (1000 * decodeTokens) / about;
  const turnMs = turnFor(repetitionMs);
  const repeated = Math.min(pairRepetitions.max, Math.max(pairRepetitions.min, Math.round(pairMs / repetitionMs)));
  const speedOf = (ms: readonly number[]): number => (1000 * decodeTokens) / median(uninterrupted(ms, turnMs));
  if (peers === undefined) return { decode: ownSpeed(file, threads, 0, decodeTokens, repetitions).decode, decodeRatio: null };
  const own: number[] = [];
  const ratios: number[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    const [us, them] = [startOwnDecoding(file, threads, decodeTokens, repeated), peers.startDecoding(file, threads, decodeTokens, repeated)];
    const weBegin = pair % 2 === 0; // each as often
    const [first, second] = weBegin ? await inTurn(us, them, turnMs) : await inTurn(them, us, turnMs);
    const [mine, other] = [speedOf(ownRepetitions(weBegin ? first : second)), speedOf(Peers.repetitions(weBegin ? second : first))];
    own.push(mine);
    ratios.push(mine / other);
    console.log(`pair ${pair + 1}: decode ${mine.toFixed(0)} tok/s; llama-bench ${other.toFixed(0)}; ratio ${(mine / other).toFixed(3)}`);
  }
  return { decode: median(own), decodeRatio: median(ratios) };
}

/** Greedy answers plain and speculative. @param asked prompts */
async function speculation(large: Model, asked: readonly Asked[]): Promise<{ speedup: number; identical: number; answers: number; acceptance: number; tokensPerSecond: number }> {
  let plainMs = 0;
  let ownMs = 0;
  let identical = 0;
  let drafted = 0;
  let accepted = 0;
  let written = 0;
  for (const prompt of asked) {
    const args = { ...(await (large.answerArgs as NonNullable<Model['answerArgs']>)({ prompt, sampling: { temperature: 0, tokensMax: answerTokens, minP: 0, topP: 1 } }, new AbortController().signal)) };
    const roles = { target: 'large', draft: 'small' };
    // each way once unmeasured, so that both find the prompt in the same state of the cache; then in turn, the faster of two counts
    const plain: number[] = [];
    const fast: number[] = [];
    let same = false;
    for (let n = 0; n < 3; n++) {
      const a = await timed(large, 'generate', { model: 'large' }, args);
      const b = await timed(large, 'speculate', roles, args);
      same = a.text === b.text;
      if (n === 0) continue;
      plain.push(a.ms);
      fast.push(b.ms);
      if (n > 1) continue;
      drafted += b.finish.draftedTokens ?? 0;
      accepted += b.finish.acceptedTokens ?? 0;
      written += b.finish.completionTokens;
    }
    plainMs += Math.min(...plain);
    ownMs += Math.min(...fast);
    if (same) identical++;
  }
  return { speedup: plainMs / ownMs, identical, answers: asked.length, acceptance: accepted / Math.max(1, drafted), tokensPerSecond: (1000 * written) / ownMs };
}

async function againstSpeculativeSimple(large: Model, files: { large: string; small: string }, threads: number, peers: Peers): Promise<number | null> {
  const ratios: number[] = [];
  for (const prompt of benchPrompts(values.quick ? 4 : 12, ['prose'])) {
    const text = 'text' in prompt ? prompt.text : (prompt.messages[0]?.content ?? '');
    const args = await (large.answerArgs as NonNullable<Model['answerArgs']>)({ prompt: { messages: [], text }, sampling: { temperature: 0, tokensMax: answerTokens } }, new AbortController().signal);
    const own: number[] = [];
    for (let n = 0; n < 3; n++) {
      const run = await timed(large, 'speculate', { target: 'large', draft: 'small' }, args);
      if (run.finish.completionTokens > 1) own.push((1000 * (run.finish.completionTokens - 1)) / run.decodeMs);
    }
    const theirs = peers.speculate(files.large, files.small, threads, text, answerTokens);
    if (theirs === undefined || theirs.decodeSeconds === 0 || own.length === 0) continue;
    ratios.push(median(own) / (theirs.tokens / theirs.decodeSeconds));
  }
  return ratios.length === 0 ? null : median(ratios);
}

/** Tokens a second of so many requests at once, each with a prompt of its own, one after the other for some seconds. */
async function atOnce(large: Model, requests: number, seconds: number): Promise<number> {
  const settings = { ...plainSettings, temperature: 0 };
  const began = performance.now();
  let asked = 0;
  let written = 0;
  const client = async (): Promise<void> => {
    while (performance.now() - began < 1000 * seconds) {
      const first = asked++;
      const prompt = Array.from({ length: 16 + (first % 17) }, (_, at) => 5 + ((first * 31 + at * 37) % 4000));
      const { finish } = await timed(large, 'generate', { model: 'large' }, { prompt, settings, tokensMax: 24 + (first % 49), ignoreEnd: true });
      written += finish.completionTokens;
    }
  };
  await Promise.all(Array.from({ length: requests }, client));
  return (1000 * written) / (performance.now() - began);
}

const files = { large: values.large ?? bundledFile('large'), small: values.small ?? bundledFile('small') };
console.log(machineLine());
if (files.large === undefined || files.small === undefined) {
  console.log('The bundled weights are not there; nothing was measured.');
  printFigures('engine', { decodeRatio: null, promptRatio: null, speculateSpeedup: null, speculateVsLlamaCpp: null });
} else {
  const pair = { large: files.large, small: files.small };
  const threads = values.threads === undefined ? defaultThreads(pair.large) : Number(values.threads);
  const models = await openMembers(pair, threads);
  const large = models['large'] as Model;
  const given = values['peer-dir'] ?? process.env['TANDEM_LLAMA_BENCH'];
  const peers = Peers.find(given?.replace(/\/llama-bench$/, ''), pair.large, wantedLibraries);
  console.log(peers === undefined ? 'llama-bench was not found or does not run (--peer-dir, TANDEM_LLAMA_BENCH): the ratios against llama.cpp are null.' : `llama-bench runs on ${peers.libraries}.`);
  const reading = promptSpeeds(pair.large, threads, peers);
  const speed = { ...reading, ...(await decodeSpeeds(pair.large, threads, peers, reading.decodeAbout)) };
  const seconds = values.quick ? 2 : 8;
  await atOnce(large, 4, seconds / 2); // warm up
  const alone = await atOnce(large, 1, seconds);
  const four = await atOnce(large, 4, seconds);
  console.log(`requests of 16 to 32 prompt tokens and 24 to 72 written: ${alone.toFixed(0)} tok/s one after the other, ${four.toFixed(0)} four at once`);
  const gain = await speculation(large, benchPrompts(prompts));
  const prose = await speculation(large, benchPrompts(values.quick ? 3 : 9, ['prose']));
  for (const [name, { identical, answers, acceptance, speedup }] of [['tasks', gain], ['free prose', prose]] as const) {
    console.log(`speculate, ${name}: ${speedup.toFixed(2)} times as fast, ${identical} of ${answers} greedy answers identical, ${(100 * acceptance).toFixed(0)} % of drafts accepted`);
  }
  const versus = peers === undefined ? null : await againstSpeculativeSimple(large, pair, threads, peers);
  await Promise.all(Object.values(models).map((model) => model.close()));
  peers?.remove();
  printFigures('engine', {
    decodeRatio: rounded(speed.decodeRatio), promptRatio: rounded(speed.promptRatio), speculateSpeedup: rounded(gain.speedup), speculateVsLlamaCpp: rounded(versus),
    fourAtOnce: rounded(four / alone), decodeTokensPerSecond: Math.round(speed.decode), promptTokensPerSecond: Math.round(speed.prompt), speculateTokensPerSecond: Math.round(gain.tokensPerSecond),
    acceptance: rounded(gain.acceptance), proseSpeedup: rounded(prose.speedup), identical: gain.identical, answers: gain.answers, threads,
  });
}
