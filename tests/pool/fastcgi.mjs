// A FastCGI client: one request over one connection to a unix socket, as nginx makes them. Everything that nginx turns
// into a 502 is an error here: no connection, a reset, an incomplete answer.
import net from 'node:net';

const BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, STDERR = 7;
const RECORD = 65528;

function record(type, content = Buffer.alloc(0)) {
  const header = Buffer.from([1, type, 0, 1, content.length >> 8, content.length & 255, 0, 0]);
  return Buffer.concat([header, content]);
}

function stream(type, bytes) {
  const records = [];
  for (let at = 0; at < bytes.length; at += RECORD) records.push(record(type, bytes.subarray(at, at + RECORD)));
  return Buffer.concat([...records, record(type)]);
}

function length(n) {
  if (n < 128) return Buffer.from([n]);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE((n | 0x80000000) >>> 0);
  return bytes;
}

function encodeParams(params) {
  const parts = [];
  for (const [name, value] of Object.entries(params)) {
    const key = Buffer.from(name), text = Buffer.from(String(value));
    parts.push(length(key.length), length(text.length), key, text);
  }
  return Buffer.concat(parts);
}

export function encode({ method = 'GET', uri, headers = {}, body = '' }) {
  const bytes = Buffer.from(body);
  const params = { REQUEST_METHOD: method, REQUEST_URI: uri };
  if (bytes.length > 0) Object.assign(params, { CONTENT_LENGTH: bytes.length, CONTENT_TYPE: 'application/json' });
  for (const [name, value] of Object.entries(headers))
    params[`HTTP_${name.toUpperCase().replaceAll('-', '_')}`] = value;
  return Buffer.concat([
    record(BEGIN, Buffer.from([0, 1, 0, 0, 0, 0, 0, 0])), stream(PARAMS, encodeParams(params)), stream(STDIN, bytes),
  ]);
}

// Splits the records of an answer; undefined while the answer is incomplete.
function decode(bytes) {
  const out = [], err = [];
  for (let at = 0; bytes.length - at >= 8;) {
    const type = bytes[at + 1], size = bytes.readUInt16BE(at + 4), next = at + 8 + size + bytes[at + 6];
    if (next > bytes.length) return undefined;
    const content = bytes.subarray(at + 8, at + 8 + size);
    if (type === STDOUT) out.push(content);
    if (type === STDERR) err.push(content);
    if (type === END) return { out: Buffer.concat(out), err: Buffer.concat(err).toString(), protocol: content[4] };
    at = next;
  }
  return undefined;
}

export const isComplete = (bytes) => decode(bytes) !== undefined;

function parse({ out, err, protocol }) {
  const split = out.indexOf('\r\n\r\n');
  if (protocol !== 0 || err || split < 0) throw new Error(`not an answer: ${protocol} ${err} ${out}`);
  const headers = {};
  for (const line of out.subarray(0, split).toString().split('\r\n')) {
    const [, name, value] = /^([^:]+): (.*)$/.exec(line);
    headers[name.toLowerCase()] = value;
  }
  const text = out.subarray(split + 4).toString();
  if (headers['content-length'] !== undefined && Number(headers['content-length']) !== out.length - split - 4)
    throw new Error(`the answer is short: ${headers['content-length']} expected, ${out.length - split - 4} came`);
  const json = /^application\/json/.test(headers['content-type'] ?? '') ? JSON.parse(text) : undefined;
  return { status: Number(headers.status), headers, text, json };
}

// Resolves to { status, headers, text, json }; rejects where nginx would answer with a 502.
export function request(socket, options) {
  return new Promise((resolve, reject) => {
    const chunks = [], connection = net.connect(socket);
    let answer;
    const fail = (why) => {
      connection.destroy();
      reject(why instanceof Error ? why : new Error(`${options.method ?? 'GET'} ${options.uri}: ${why}`));
    };
    connection.setTimeout(options.timeout ?? 60_000, () => fail('no answer in time'));
    connection.on('connect', () => connection.write(encode(options)));
    connection.on('error', (error) => answer || fail(error));
    connection.on('data', (chunk) => {
      chunks.push(chunk);
      answer = decode(chunks.length === 1 ? chunk : Buffer.concat(chunks));
      if (!answer) return;
      connection.destroy();
      try {
        resolve(parse(answer));
      } catch (error) {
        reject(error);
      }
    });
    connection.on('close', () => answer || fail(`closed after ${Buffer.concat(chunks).length} bytes without an end`));
  });
}
