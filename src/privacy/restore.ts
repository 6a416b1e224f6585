/**
 * Puts private values back into the parts of an answer. Text goes on as soon as it is sure not to be part of a
 * placeholder, so the restored text is the same however the stream is cut. Each answer has its own state, and in it the
 * text, the reasoning and each tool call have theirs.
 */
import type { Part } from '../exchange.ts';
import { Relay, type Passage } from '../system/relay.ts';
import { Channel } from './channel.ts';
import type { Vault } from './vault.ts';

type ContentPart = Exclude<Part, { readonly type: 'finish' }>;

/**
 * The same parts with values in place of placeholders. What is held back comes out before a finish, the end and an error.
 * @param json whether the text of the answer is JSON, as arguments of tool calls always are; default false
 */
export function restoreParts(parts: AsyncIterable<Part>, vault: Vault, json = false): AsyncIterableIterator<Part, undefined> {
  return new Relay<Part, Part>(parts, new Restoring(vault, json));
}

/** All answers of one request. */
class Restoring implements Passage<Part, Part> {
  private readonly vault: Vault;
  private readonly json: boolean;
  private answers: Map<number, AnswerState> | undefined;

  constructor(vault: Vault, json: boolean) {
    this.vault = vault;
    this.json = json;
  }

  take(part: Part, out: Part[]): Part | boolean {
    // Looked at for each part, since a recipe can hide more while it runs.
    if (this.vault.size === 0) return part;
    this.answers ??= new Map();
    let answer = this.answers.get(part.answer);
    if (part.type === 'finish') {
      if (answer === undefined) return part;
      this.answers.delete(part.answer);
      answer.flush(out);
      if (out.length === 0) return part;
      out.push(part);
    } else {
      if (answer === undefined) this.answers.set(part.answer, (answer = new AnswerState(this.vault, this.json)));
      if (answer.passes(part, out)) return part;
    }
    return false;
  }

  end(out: Part[]): void {
    if (this.answers !== undefined) for (const answer of this.answers.values()) answer.flush(out);
  }
}

/** Text, refusal and reasoning are flushed when another of them, or a tool call, begins; tool calls, which may alternate, at the end. */
class AnswerState {
  private readonly vault: Vault;
  private readonly json: boolean;
  private readonly channels = new Map<string | number, Channel>();
  private speaking: Channel | undefined;

  constructor(vault: Vault, json: boolean) {
    this.vault = vault;
    this.json = json;
  }

  /** Whether this part alone goes on, as it is; else writes what may go on now that it has come. */
  passes(part: ContentPart, out: Part[]): boolean {
    const key = part.type === 'tool-call' ? part.call : part.type === 'text' && part.refusal === true ? 'refusal' : part.type;
    let channel = this.channels.get(key);
    if (channel === undefined) this.channels.set(key, (channel = new Channel(this.vault, part.type === 'tool-call' || (part.type === 'text' && this.json))));
    if (this.speaking !== undefined && this.speaking !== channel) out.push(...this.speaking.flush());
    this.speaking = part.type === 'tool-call' ? undefined : channel;
    if (!channel.passes(part, out)) return false;
    if (out.length === 0) return true;
    out.push(part);
    return false;
  }

  /** Writes what is held back, now that nothing follows. */
  flush(out: Part[]): void {
    for (const channel of this.channels.values()) out.push(...channel.flush());
  }
}
