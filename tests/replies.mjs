// HTTP/1.1 replies as text: shared by all tests that send raw requests.
import assert from 'node:assert/strict';

// Splits the text (Latin-1) of pipelined replies into { status, headers, raw, bytes }; `raw` lists names and values as
// received. A reply without a Content-Length has no body.
export function parseReplies(text) {
  const replies = [];
  while (text) {
    const end = text.indexOf('\r\n\r\n');
    assert.notEqual(end, -1, text.slice(0, 500));
    const [first, ...lines] = text.slice(0, end).split('\r\n');
    const raw = lines.flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
    const headers = Object.fromEntries(lines.map((_, i) => [raw[2 * i].toLowerCase(), raw[2 * i + 1]]));
    const next = end + 4 + Number(headers['content-length'] ?? 0);
    const bytes = Buffer.from(text.slice(end + 4, next), 'latin1');
    replies.push({ status: Number(first.split(' ')[1]), headers, raw, bytes });
    text = text.slice(next);
  }
  return replies;
}
