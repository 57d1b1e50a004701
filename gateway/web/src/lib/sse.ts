// Reads a text/event-stream (WHATWG HTML, section 9.2) from fetch instead of EventSource, for two reasons: EventSource
// hides the heartbeat comments, so a dead connection looks alive for ever, and it hides a 401. Pure parser plus one reader.

export interface StreamEvent {
  event: string;
  data: string;
}

/** Longest unfinished event that is kept, in characters: an overview of a thousand zones is below one million. */
export const BUFFER_MAX = 8_000_000;

/** Splits a stream of text into events. Fields other than `event` and `data` are ignored, comments too. */
export class EventParser {
  #buffer = '';
  #event = '';
  #data: string[] = [];

  /** Takes the next piece and returns the events that it completes. */
  push(text: string): StreamEvent[] {
    this.#buffer += text;
    if (this.#buffer.length > BUFFER_MAX) throw new Error('event stream line too long');
    const done: StreamEvent[] = [];
    // A trailing CR may be the first half of CRLF: it stays until the next piece tells.
    const lines = this.#buffer.split(/\r\n|\n|\r(?!$)/);
    this.#buffer = lines.pop() ?? '';
    for (const line of lines) {
      const event = this.#line(line);
      if (event) done.push(event);
    }
    return done;
  }

  #line(line: string): StreamEvent | null {
    if (line === '') {
      const event = this.#data.length > 0 ? { event: this.#event || 'message', data: this.#data.join('\n') } : null;
      this.#event = '';
      this.#data = [];
      return event;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#event = value;
    if (field === 'data') this.#data.push(value);
    return null;
  }
}

/** Reads a response to its end, calling `onAlive` for every piece, comments included, and `onEvent` for every event. */
export async function readEvents(
  response: Response,
  onAlive: () => void,
  onEvent: (event: StreamEvent) => void,
): Promise<void> {
  const reader = response.body?.getReader();
  if (!reader) return;
  const decoder = new TextDecoder();
  const parser = new EventParser();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onAlive();
    for (const event of parser.push(decoder.decode(value, { stream: true }))) onEvent(event);
  }
}
