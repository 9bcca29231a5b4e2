// A FastCGI server in place of the pool, which answers what a test wants.
import net from 'node:net';

const BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6;

function readParams(bytes) {
  const params = {};
  let at = 0;
  const length = () => {
    const long = bytes[at] & 0x80;
    const value = long ? bytes.readUInt32BE(at) & 0x7fffffff : bytes[at];
    at += long ? 4 : 1;
    return value;
  };
  const text = (size) => bytes.toString('latin1', at, (at += size));
  while (at < bytes.length) {
    const [name, value] = [length(), length()];
    params[text(name)] = text(value);
  }
  return params;
}

function record(type, content) {
  const head = Buffer.from([1, type, 0, 1, 0, 0, 0, 0]);
  head.writeUInt16BE(content.length, 4);
  return Buffer.concat([head, content]);
}

// The default answer: 200.
const accept = ({ params }) => ({ body: JSON.stringify({ success: true, path: params.REQUEST_URI }) });

// `answer` maps a request { params, body } to { status, headers, body }, to 'die' (the connection is closed without a
// reply) or to 'never'. `requests` holds every completely read request, and `begun` counts all that were started.
export class Pool {
  requests = [];
  begun = 0;
  answer = accept;
  #open = new Set();

  constructor(file) {
    this.file = file;
    this.server = net.createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
  }

  listen() {
    return new Promise((resolve, reject) => this.server.on('error', reject).listen(this.file, resolve));
  }

  close() {
    for (const socket of this.#open) socket.destroy();
    return new Promise((resolve) => this.server.close(resolve));
  }

  #serve(socket) {
    this.#open.add(socket);
    socket.on('close', () => this.#open.delete(socket));
    socket.on('error', () => {});
    let rest = Buffer.alloc(0);
    const parts = { [PARAMS]: [], [STDIN]: [] };
    socket.on('data', (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= 8 && rest.length >= 8 + rest.readUInt16BE(4) + rest[6]) {
        const [type, size, padding] = [rest[1], rest.readUInt16BE(4), rest[6]];
        const content = rest.subarray(8, 8 + size);
        rest = rest.subarray(8 + size + padding);
        if (type === BEGIN) this.begun++;
        if (size) parts[type]?.push(content);
        else if (type === STDIN) this.#reply(socket,
          { params: readParams(Buffer.concat(parts[PARAMS])), body: Buffer.concat(parts[STDIN]) });
      }
    });
  }

  async #reply(socket, request) {
    this.requests.push(request);
    const answer = await this.answer(request);
    if (answer === 'never') return;
    if (answer === 'die') {
      socket.destroy();
      return;
    }
    const { status = 200, headers = {}, body = '' } = answer;
    const fields = { 'Content-Type': 'application/json', 'X-Request-Id': request.params.HTTP_X_REQUEST_ID, ...headers };
    const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`).join('');
    const bytes = Buffer.from(`Status: ${status}\r\n${head}\r\n${body}`);
    for (let at = 0; at < bytes.length; at += 65535) socket.write(record(STDOUT, bytes.subarray(at, at + 65535)));
    // `cut`: the end of the FastCGI reply is missing, as when a worker dies while it writes.
    socket.end(answer.cut ? undefined : Buffer.concat([record(STDOUT, Buffer.alloc(0)), record(END, Buffer.alloc(8))]));
  }
}
