/** Reads the parts of answers, and gathers them into whole ones for replies that are not streamed. */
import type { EmittedToken, FinishReason, Part } from '../exchange.ts';
import type { Pulled } from '../system/pull.ts';

/** A call of a function in a gathered answer. */
export interface CollectedCall {
  id: string;
  name: string;
  arguments: string;
}

/** One whole answer. */
export interface CollectedAnswer {
  text: string;
  /** Why the model will not answer, in its words; empty where it does. */
  refusal: string;
  reasoning: string;
  readonly calls: CollectedCall[];
  readonly tokens: EmittedToken[];
  finish: FinishReason;
}

/** All answers, by index. */
export type Collected = readonly CollectedAnswer[];

/**
 * Reads the parts of answers until each answer has its finish, and leaves the stream as it is then: the reader is to return it.
 * @param answers how many answers were asked for
 * @param take what is done with a part; a promise is waited for, and `false` ends the reading
 */
export async function readAnswers(parts: Pulled<Part>, answers: number, take: (part: Part) => Promise<void> | false | undefined): Promise<void> {
  for (let unfinished = answers; unfinished > 0; ) {
    const next = parts.pull();
    if (next instanceof Promise) {
      await next;
      continue;
    }
    if (next.done === true) return;
    if (next.value.type === 'finish') unfinished--;
    const taken = take(next.value);
    if (taken === false) return;
    if (taken !== undefined) await taken;
  }
}

/** Gathers whole answers, as `readAnswers` reads them. */
export async function collect(parts: Pulled<Part>, answers: number): Promise<Collected> {
  const collected: CollectedAnswer[] = [];
  for (let index = 0; index < answers; index++) collected.push({ text: '', refusal: '', reasoning: '', calls: [], tokens: [], finish: 'stop' });
  await readAnswers(parts, answers, (part) => {
    const answer = collected[part.answer];
    if (answer !== undefined) addPart(answer, part);
    return undefined;
  });
  return collected;
}

function addPart(answer: CollectedAnswer, part: Part): void {
  switch (part.type) {
    case 'text':
      if (part.refusal === true) answer.refusal += part.delta;
      else answer.text += part.delta;
      if (part.tokens !== undefined) answer.tokens.push(...part.tokens);
      return;
    case 'reasoning':
      answer.reasoning += part.delta;
      return;
    case 'tool-call': {
      const call = (answer.calls[part.call] ??= { id: '', name: '', arguments: '' });
      if (part.id !== undefined) call.id = part.id;
      if (part.name !== undefined) call.name = part.name;
      call.arguments += part.argumentsDelta;
      return;
    }
    case 'finish':
      answer.finish = part.reason;
  }
}
