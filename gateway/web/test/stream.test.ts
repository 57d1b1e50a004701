// The event stream, cut at every place a network may cut it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUFFER_MAX, EventParser, readEvents, type StreamEvent } from '../src/lib/sse';

const TEXT = ': hello\n\nevent: overview\ndata: {"a":\ndata: 1}\n\nevent:diary\r\ndata:x\r\nid: 7\r\n\r\ndata: plain\n\nevent: empty\n\n';
const WANT: StreamEvent[] = [
  { event: 'overview', data: '{"a":\n1}' },
  { event: 'diary', data: 'x' },
  { event: 'message', data: 'plain' },
];

test('events come out the same wherever the text is cut', () => {
  for (let cut = 0; cut <= TEXT.length; cut += 1) {
    const parser = new EventParser();
    const got = [...parser.push(TEXT.slice(0, cut)), ...parser.push(TEXT.slice(cut))];
    assert.deepEqual(got, WANT, `cut at ${cut}`);
  }
});

test('one character at a time, and an unfinished event is not told', () => {
  const parser = new EventParser();
  const got = [...(TEXT + 'data: half')].flatMap((c) => parser.push(c));
  assert.deepEqual(got, WANT);
});

test('a line without end is refused', () => {
  const parser = new EventParser();
  assert.throws(() => parser.push('x'.repeat(BUFFER_MAX + 1)), /too long/);
});

test('reading tells of every sign of life, also of a comment, and keeps letters that were cut in two', async () => {
  const bytes = new TextEncoder().encode(': beat\n\ndata: Lô mận\n\n');
  const cut = bytes.indexOf(0xe1) + 1;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes.slice(0, 8));
      controller.enqueue(bytes.slice(8, cut));
      controller.enqueue(bytes.slice(cut));
      controller.close();
    },
  });
  let alive = 0;
  const got: StreamEvent[] = [];
  await readEvents(new Response(body), () => (alive += 1), (event) => got.push(event));
  assert.equal(alive, 3);
  assert.deepEqual(got, [{ event: 'message', data: 'Lô mận' }]);
});
