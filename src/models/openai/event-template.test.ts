import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../system/random.ts';
import { EventTemplate } from './event-template.ts';
import { parseReply } from './wire.ts';

const event = (content: string, more = ''): string => `{"id":"c","choices":[{"index":0,"delta":{"content":${JSON.stringify(content)}},"logprobs":null,"finish_reason":null${more}}]}`;

/** Reads a stream with a template and without; both must say the same of every event. */
function same(events: readonly string[], why: string): void {
  const template = new EventTemplate();
  for (const data of events) assert.deepEqual(structuredClone(template.read(data)), parseReply(data), `${why}: ${data}`);
}

test('a template reads what parsing reads', () => {
  const texts = [' is', ' a', '', '"', '\\', 'é 😀', '\n', ' "content":" b', '","finish_reason":"stop', '\u0001', '\ud800', 'x'.repeat(3_000), ' last'];
  same(texts.map((text) => event(text)), 'texts of every kind');
  same(texts.map((text) => event(text).replaceAll(':', ': ').replaceAll(',', ', ')), 'with spaces, as Python writes it');
  same([event(' a'), event(' b', ',"x":1'), event(' c'), '[DONE', 'null', '[]', '{"usage":{"prompt_tokens":1}}', event('d')], 'with other events between');
  same([event('a'), event('a'), event('stop'), event('content')], 'a text that stands elsewhere too');
  same(['{"choices":[{"message":{"content":"a"},"delta":{"content":"a"}}]}', '{"choices":[{"message":{"content":"b"},"delta":{"content":"a"}}]}'], 'another text of the same name before it');
  same(['{"choices":[{"delta":{"content":"a","content":"a"}}]}', '{"choices":[{"delta":{"content":"b","content":"a"}}]}'], 'a name that comes twice');
  same(['{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"a"}}]}', '{"choices":[{"delta":{"content":"b"}},{"delta":{"content":"a"}}]}'], 'two choices');
  same(['{"choices":[{"delta":{"reasoning":"{\\"content\\":\\"a\\"}","content":"a"}}]}', '{"choices":[{"delta":{"reasoning":"{\\"content\\":\\"b\\"}","content":"a"}}]}'], 'JSON inside a text');
  same(['{"choices":[{"delta":{"content":"\\u0061"}}]}', '{"choices":[{"delta":{"content":"b"}}]}', '{"choices":[{"delta":{"content":"c"}}]}'], 'another way to write a text');
});

test('a template reads random changes of an event as parsing reads them', () => {
  const random = seededRandom(7);
  const upTo = (most: number): number => Math.floor(random.next() * (most + 1));
  const letters = ['"', '\\', '{', '}', ':', ',', 'a', 'content', '\u001f', 'é', '[', ']', 'null', ' '];
  for (let round = 0; round < 20_000; round++) {
    const first = event(Array.from({ length: 1 + upTo(3) }, () => letters[upTo(letters.length - 1)]).join(''));
    const from = upTo(first.length);
    const second = first.slice(0, from) + Array.from({ length: upTo(4) }, () => letters[upTo(letters.length - 1)]).join('') + first.slice(from + upTo(3));
    same([first, second, first], `round ${round}`);
  }
});
