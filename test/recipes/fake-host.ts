/** A token host over made-up laws: every model is a function from the tokens so far to logits over the letters. */
import { programs, type ProgramName } from '../../src/decoding/programs.ts';
import { plainSettings, shapeSettings } from '../../src/decoding/settings.ts';
import type { AnswerArgs } from '../../src/decoding/answer.ts';
import type { Laws, ProgramEnv, ProgramRun, Sequence, Step, TokenHost, TokenProgram, Vocabulary } from '../../src/decoding/program.ts';
import { fail, TandemError } from '../../src/errors.ts';
import type { Sampling } from '../../src/exchange.ts';
import { seededRandom } from '../../src/system/random.ts';

/** Logits for the token after these. */
export type MadeUpLaw = (tokens: readonly number[]) => Float32Array;

const letters = 'abcdefghijklmnopqrstuvwxyz ';
/** The token that ends an answer. */
export const endToken = letters.length;

/** Tokens of a text of lower-case letters and spaces; other characters become spaces. */
export const tokensOf = (text: string): number[] => [...text.toLowerCase()].map((letter) => Math.max(0, letters.includes(letter) ? letters.indexOf(letter) : letters.length - 1));

const vocabulary: Vocabulary = {
  size: letters.length + 1,
  isEnd: (token) => token === endToken,
  bytes: (token) => new TextEncoder().encode(letters[token] ?? ''),
};

/** Arguments of a program for a prompt text, as an engine would make them. */
export const answerArgsOf = (text: string, sampling: Sampling): AnswerArgs => ({ prompt: tokensOf(text), settings: shapeSettings(sampling, plainSettings), tokensMax: sampling.tokensMax ?? 32, ...(sampling.stop === undefined ? {} : { stop: sampling.stop }) });

/** A host whose models, by id, have these laws. `steps` counts the steps of each role. `fails`: throw after so many rounds. */
export function fakeHost(laws: Readonly<Record<string, MadeUpLaw>>, options: { readonly failAfter?: number; readonly hangAfter?: number } = {}): TokenHost & { readonly steps: Record<string, number> } {
  const steps: Record<string, number> = {};
  async function* run<Args, Event>({ program, roles, args, seed = 1, signal }: ProgramRun<Args>): AsyncGenerator<Event> {
    const events: Event[] = [];
    const random = seededRandom(seed);
    const env: ProgramEnv<Event> = {
      open: (role) => new Held(role),
      vocabulary: () => vocabulary,
      constraint: () => fail('ability_missing', 'no grammars here'),
      emit: (event) => void events.push(event),
      random: random.next,
    };
    const generator = (programs[program as ProgramName] as unknown as TokenProgram<Args, Event>)(env, args);
    const lawFor = (step: Step): Laws => {
      const held = step.sequence as Held;
      const law = laws[roles[step.sequence.role] ?? ''] ?? fail('engine_failed', 'no such model');
      steps[step.sequence.role] = (steps[step.sequence.role] ?? 0) + 1;
      const found: Float32Array[] = [];
      const wanted = typeof step.laws === 'number' ? step.laws : { all: step.tokens.length, last: 1, none: 0 }[step.laws];
      step.tokens.forEach((token, index) => {
        held.tokens.push(token);
        if (index >= step.tokens.length - wanted) found.push(law(held.tokens));
      });
      return { count: found.length, at: (index) => found[index] ?? fail('engine_failed', 'no such law') };
    };
    let round = 0;
    const begin = async (): Promise<void> => {
      if (signal.aborted) throw signal.reason;
      if (options.failAfter === round) throw new TandemError('engine_failed', { message: 'made up' });
      if (options.hangAfter === round) await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      round++;
    };
    for (let result = generator.next(); result.done !== true; ) {
      await begin();
      const laws = result.value.map(lawFor);
      for (const [n, step] of result.value.entries()) {
        for (let token = step.next?.((laws[n] as Laws).at(0)); token !== undefined; token = step.next?.((laws[n] as Laws).at(0))) {
          yield* events.splice(0);
          await begin();
          laws[n] = lawFor({ ...step, tokens: [token] });
        }
      }
      result = generator.next(laws);
      yield* events.splice(0);
    }
    yield* events.splice(0);
  }
  return { run, steps };
}

class Held implements Sequence {
  readonly role: string;
  readonly tokens: number[] = [];
  readonly lengthMax = Infinity;
  constructor(role: string) {
    this.role = role;
  }
  get length(): number {
    return this.tokens.length;
  }
  rollback(length: number): void {
    this.tokens.length = length;
  }
  fork(): Sequence {
    const other = new Held(this.role);
    other.tokens.push(...this.tokens);
    return other;
  }
  close(): void {}
}

/** A law that wants to write this text, with so much probability for the next letter, and then to end. */
export function wanting(text: string, promptLength: number, sureness = 4): MadeUpLaw {
  const wanted = tokensOf(text);
  return (tokens) => {
    const law = new Float32Array(letters.length + 1);
    law[wanted[tokens.length - promptLength] ?? endToken] = sureness + Math.log(letters.length);
    return law;
  };
}
