/**
 * `tandem chat`: a conversation on the terminal, or over a pipe, one message a line.
 *
 * Lines that begin with `/` are commands. On a terminal Ctrl-C stops the answer that is being written, or discards the line that is being typed; twice at the
 * prompt leaves. Over a pipe it ends the command.
 */
import { createInterface, type Interface } from 'node:readline';
import { TandemError } from '../errors.ts';
import type { Message } from '../exchange.ts';
import { unmetNeeds } from '../recipes/recipe.ts';
import type { Runtime } from '../tandem.ts';
import type { TraceRecord } from '../trace/trace.ts';
import { AnswerPrinter, answerSummary, memberPaint } from './answer-printer.ts';
import { examples, type DefineCommand } from './help.ts';
import { withRuntime } from './open-runtime.ts';
import { askOptions, collectKnob, requestOptions, type RequestOptions } from './request-options.ts';
import { exitCodes, note, print, printError, type Terminal } from './terminal.ts';
import { printTrace } from './trace-view.ts';

interface ChatOptions extends RequestOptions {
  readonly marks?: boolean;
}

/** Defines the command. */
export const define: DefineCommand = (command, terminal) => {
  requestOptions(command)
    .option('--no-marks', 'do not mark who wrote what where colours are off')
    .addHelpText('after', chatExamples)
    .action((options: ChatOptions) => withRuntime(terminal, options.config, ({ runtime }) => new Chat(terminal, runtime, options).talk()));
};

const lineCommands: readonly (readonly [name: string, what: string])[] = [
  ['/recipe [id] [knob=value ...]', 'answer with this recipe; without an id, list them'],
  ['/member [id]', 'answer with this member alone; without an id, list them'],
  ['/system [text]', 'set the system message; without a text, remove it'],
  ['/trace', 'show who did what in the last answer'],
  ['/clear', 'forget the conversation'],
  ['/help', 'list these commands'],
  ['/quit', 'leave (also Ctrl-D, or Ctrl-C twice)'],
];

const chatExamples = [
  examples(['tandem chat', 'recipes are chosen by tandem/auto'], ['tandem chat -r cascade -k threshold=0.8', 'one recipe, with a knob'], ['tandem chat -m small < messages.txt', 'one message a line']),
  '',
  'In the conversation:',
  ...lineCommands.map(([name, what]) => `  ${name.padEnd(30)}  ${what}`),
].join('\n');

class Chat {
  readonly #terminal: Terminal;
  readonly #runtime: Runtime;
  readonly #members: readonly string[];
  readonly #attribution: 'colour' | 'mark' | 'none';
  #options: RequestOptions;
  #messages: Message[] = [];
  #lastTrace: TraceRecord | undefined;
  #running: AbortController | undefined;
  #leaving = false;
  /** Nothing more is read. */
  #closed = false;

  constructor(terminal: Terminal, runtime: Runtime, options: ChatOptions) {
    this.#terminal = terminal;
    this.#runtime = runtime;
    this.#options = options;
    this.#members = runtime.team.members.map((member) => member.id);
    this.#attribution = terminal.colours.isColorSupported ? 'colour' : options.marks === false ? 'none' : 'mark';
  }

  /** Reads messages until the end of the input or `/quit`. */
  async talk(): Promise<void> {
    const { interactive, input, output, colours } = this.#terminal;
    const unwatch = this.#runtime.onTrace((record) => void (this.#lastTrace = record));
    const lines = createInterface({ input, terminal: interactive, prompt: colours.bold('> '), ...(interactive ? { output } : {}) });
    const interrupt = (): void => this.#interrupt(lines);
    lines.on('SIGINT', interrupt);
    lines.once('close', () => (this.#closed = true));
    process.on('SIGINT', interrupt);
    try {
      if (interactive) this.#welcome();
      this.#prompt(lines);
      for await (const line of lines) {
        this.#leaving = false;
        if (this.#terminal.exit.code === exitCodes.interrupted || !(await this.#takeLine(line.trim()))) break;
        this.#prompt(lines);
      }
    } finally {
      unwatch();
      process.off('SIGINT', interrupt);
      lines.close();
    }
  }

  #welcome(): void {
    const { dim } = this.#terminal.colours;
    const paint = memberPaint(this.#terminal.colours, this.#members);
    print(this.#terminal, `${this.#members.map((id) => paint(id)(id)).join(dim(', '))} ${dim(`answer as ${this.#model()}. /help lists commands, Ctrl-C stops an answer.`)}`);
  }

  #prompt(lines: Interface): void {
    if (this.#terminal.interactive && !this.#closed) lines.prompt();
  }

  #interrupt(lines: Interface): void {
    if (!this.#terminal.interactive) {
      this.#terminal.exit.code = exitCodes.interrupted;
      this.#running?.abort();
      return lines.close();
    }
    if (this.#running !== undefined) return this.#running.abort();
    if (this.#leaving) return lines.close();
    this.#leaving = true;
    print(this.#terminal, this.#terminal.colours.dim('\nCtrl-C again leaves.'));
    // What was typed is not part of the next message.
    lines.write(null, { ctrl: true, name: 'e' });
    lines.write(null, { ctrl: true, name: 'u' });
    this.#prompt(lines);
  }

  /** Resolves to false when the conversation is over. */
  async #takeLine(line: string): Promise<boolean> {
    if (line === '') return true;
    if (!line.startsWith('/')) {
      await this.#answer(line);
      return true;
    }
    const [name = '', ...words] = line.slice(1).split(/\s+/);
    switch (name) {
      case 'quit':
      case 'exit':
        return false;
      case 'help':
        print(this.#terminal, ...lineCommands.map(([usage, what]) => `${usage.padEnd(30)}  ${this.#terminal.colours.dim(what)}`));
        return true;
      case 'clear':
        this.#messages = [];
        return this.#say('The conversation is forgotten.');
      case 'system':
        return this.#setSystem(line.slice('/system'.length).trim());
      case 'recipe':
        return this.#setRecipe(words);
      case 'member':
        return this.#setMember(words[0]);
      case 'trace':
        return this.#showTrace();
      default:
        return this.#say(`There is no command /${name}. /help lists them.`);
    }
  }

  #say(text: string): true {
    print(this.#terminal, this.#terminal.colours.dim(text));
    return true;
  }

  #model(): string {
    return askOptions(this.#options).model ?? this.#runtime.config.defaultModel;
  }

  #setSystem(text: string): true {
    const { system: _before, ...rest } = this.#options;
    this.#options = text === '' ? rest : { ...rest, system: text };
    return this.#say(text === '' ? 'There is no system message now.' : 'The system message is set.');
  }

  #setRecipe([id, ...knobs]: readonly string[]): true {
    const { recipes, team } = this.#runtime;
    const recipe = id === undefined ? undefined : recipes.get(id.replace(/^tandem\//, ''));
    if (recipe === undefined) {
      const able = [...recipes.values()].filter((each) => unmetNeeds(each, team).length === 0);
      return this.#say(`${id === undefined ? `Answering as ${this.#model()}.` : `There is no recipe "${id}".`} This team can run: ${able.map((each) => each.id).join(', ')}.`);
    }
    const unmet = unmetNeeds(recipe, team)[0];
    if (unmet !== undefined) return this.#say(`This team cannot run ${recipe.id}: it ${unmet.reason}.`);
    try {
      const knob = knobs.reduce<Readonly<Record<string, unknown>> | undefined>((before, text) => collectKnob(text, before), undefined);
      this.#choose({ recipe: recipe.id, ...(knob === undefined ? {} : { knob }) });
    } catch {
      return this.#say('Knobs are given as name=value.');
    }
    return this.#say(`${recipe.id}: ${recipe.summary}`);
  }

  #setMember(id: string | undefined): true {
    if (id === undefined || !this.#members.includes(id)) return this.#say(`The members are: ${this.#members.join(', ')}.`);
    this.#choose({ member: id });
    return this.#say(`Answering with ${id} alone.`);
  }

  #choose(choice: Pick<RequestOptions, 'recipe' | 'member' | 'knob'>): void {
    const { recipe: _recipe, member: _member, model: _model, knob: _knob, ...rest } = this.#options;
    this.#options = { ...rest, ...choice };
  }

  async #showTrace(): Promise<true> {
    if (this.#lastTrace === undefined) return this.#say('Nothing was answered yet.');
    await printTrace(this.#terminal, this.#lastTrace);
    return true;
  }

  async #answer(line: string): Promise<void> {
    const { ask } = await import('../ask.ts');
    const system: Message[] = this.#options.system === undefined ? [] : [{ role: 'system', content: this.#options.system }];
    const question: Message = { role: 'user', content: line };
    const printer = new AnswerPrinter(this.#terminal, this.#members, this.#attribution);
    const running = new AbortController();
    this.#running = running;
    const startedMs = this.#runtime.clock.monotonicMs();
    try {
      const answer = await ask(this.#runtime, [...system, ...this.#messages, question], { ...askOptions(this.#options), signal: running.signal, onPart: printer.take });
      printer.end();
      this.#messages.push(question, { role: 'assistant', content: answer.text });
      if (this.#terminal.interactive) {
        const elapsedMs = this.#runtime.clock.monotonicMs() - startedMs;
        note(this.#terminal, this.#terminal.errorColours.dim(answerSummary(answer, elapsedMs, memberPaint(this.#terminal.errorColours, this.#members))));
      }
    } catch (thrown) {
      printer.end();
      if (running.signal.aborted) note(this.#terminal, this.#terminal.errorColours.dim('The answer was stopped.'));
      else this.#failed(thrown);
    } finally {
      this.#running = undefined;
    }
  }

  #failed(thrown: unknown): void {
    printError(this.#terminal, thrown, false);
    if (!this.#terminal.interactive && TandemError.from(thrown).code !== 'cancelled') this.#terminal.exit.code = exitCodes.failed;
  }
}
