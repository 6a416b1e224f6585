/**
 * Whether speculation keeps the bundled large model's law: greedy answers on 200 prompts must be the same token for token, and 50,000
 * sampled tokens after fixed prefixes must follow the law that the large model gives there (chi-square, fixed seeds).
 *
 *   node bench/speculate-law.ts [--quick] [--after-seed 1000000]
 *
 * The law is read through a session (L3) and shaped by the same settings; the samples are first tokens and second tokens (after a fixed first
 * one) of speculative answers, so that both the checks of drafts and the draws that replace them are seen.
 */
import { parseArgs } from 'node:util';
import type { AnswerEvent } from '../src/decoding/answer.ts';
import { plainSettings } from '../src/decoding/settings.ts';
import { Shaper } from '../src/decoding/shape.ts';
import type { SpeculateArgs } from '../src/decoding/speculate.ts';
import type { Model } from '../src/models/port.ts';
import { chiSquareP, type Block } from '../test/engine/chi-square.ts';
import { benchPrompts, bundledFile, openMembers, timed } from './engine/members.ts';
import { machineLine, printFigures } from './machine.ts';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, 'after-seed': { type: 'string', default: '0' } } });
const { quick } = values;
/** The seeds that are used come after this one. */
const afterSeed = Number(values['after-seed']);
if (!Number.isSafeInteger(afterSeed) || afterSeed < 0) throw new TypeError(`--after-seed takes an integer from 0, got ${values['after-seed']}.`);
const answers = quick ? 20 : 200;
const samples = quick ? 5_000 : 50_000;
const prefixes = 10;
const roles = { target: 'large', draft: 'small' };
const settings = { ...plainSettings, temperature: 0.9, topP: 0.98 };

async function greedyIdentical(large: Model): Promise<{ identical: number; asked: number }> {
  let identical = 0;
  const asked = [...benchPrompts(answers - Math.floor(answers / 4)), ...benchPrompts(Math.floor(answers / 4), ['prose'])];
  for (const prompt of asked) {
    const args = await large.answerArgs?.({ prompt, sampling: { temperature: 0, tokensMax: 64 } }, new AbortController().signal);
    if (args === undefined) throw new TypeError('the model prepares no prompts');
    const plain = await timed(large, 'generate', { model: 'large' }, args);
    const fast = await timed(large, 'speculate', roles, args);
    if (plain.text === fast.text && plain.finish.completionTokens === fast.finish.completionTokens) identical++;
  }
  return { identical, asked: asked.length };
}

/** Token ids of one short speculative answer. */
async function sample(large: Model, prompt: readonly number[], seed: number): Promise<number[]> {
  const args: SpeculateArgs = { prompt, settings, tokensMax: 3, topLogprobs: 0, ignoreEnd: true, draft: { confidenceMin: seed % 2 === 0 ? 0 : 0.2, togetherMin: 0.1 } };
  const ids: number[] = [];
  for await (const event of large.host?.run<SpeculateArgs, AnswerEvent>({ program: 'speculate', roles, args, seed, cells: { target: 200, draft: 200 }, signal: new AbortController().signal }) ?? []) {
    if (event.type === 'text') ids.push(...(event.tokens ?? []).map((token) => token.id as number));
  }
  return ids;
}

/** The large model's shaped law after these tokens, as probabilities by token. */
async function lawAfter(large: Model, tokens: readonly number[]): Promise<number[]> {
  const session = await large.open?.({ signal: new AbortController().signal });
  if (session === undefined) throw new TypeError('the model opens no sessions');
  const law = await session.append(tokens);
  await session.close();
  const shaped = new Shaper(law.length, settings).shape(law);
  const probabilities = new Array<number>(law.length).fill(0);
  for (let n = 0; n < shaped.count; n++) probabilities[shaped.ids[n] as number] = (shaped.weights[n] as number) / shaped.total;
  return probabilities;
}

async function lawKept(large: Model): Promise<{ p: number; tokens: number }> {
  const blocks: Block[] = [];
  let tokens = 0;
  let seed = afterSeed;
  for (const prompt of [...benchPrompts(prefixes / 2), ...benchPrompts(prefixes / 2, ['prose'])]) {
    const args = await large.answerArgs?.({ prompt, sampling: { tokensMax: 3 } }, new AbortController().signal);
    const start = args?.prompt ?? [];
    const first = await lawAfter(large, start);
    const counts = new Array<number>(first.length).fill(0);
    const after = new Map<number, number[]>();
    for (let n = 0; n < samples / prefixes / 2; n++) {
      const [one, two] = await sample(large, start, ++seed);
      if (one === undefined || two === undefined) throw new TypeError('an answer has too few tokens');
      counts[one] = (counts[one] ?? 0) + 1;
      const seconds = after.get(one) ?? new Array<number>(first.length).fill(0);
      after.set(one, seconds);
      seconds[two] = (seconds[two] ?? 0) + 1;
      tokens += 2;
    }
    blocks.push({ counts, expected: first });
    for (const [one, seconds] of after) blocks.push({ counts: seconds, expected: await lawAfter(large, [...start, one]) });
  }
  return { p: chiSquareP(...blocks), tokens };
}

console.log(machineLine());
const [largeFile, smallFile] = [bundledFile('large'), bundledFile('small')];
if (largeFile === undefined || smallFile === undefined) {
  console.log('The bundled weights are not there; nothing was measured.');
  printFigures('speculate-law', { identical: null, answers: null, p: null, tokens: null });
} else {
  const models = await openMembers({ large: largeFile, small: smallFile });
  const large = models['large'] as Model;
  const { identical, asked } = await greedyIdentical(large);
  console.log(`greedy: ${identical} of ${asked} answers identical`);
  const { p, tokens } = await lawKept(large);
  console.log(`sampled: ${tokens} tokens, chi-square p = ${p.toFixed(4)}`);
  await Promise.all(Object.values(models).map((model) => model.close()));
  printFigures('speculate-law', { identical, answers: asked, p: Number(p.toFixed(4)), tokens });
}
