// Counts and complaints of the whole run, and the checks that every reply must pass.

// What the ledger remembers of a result: neither content nor the sides of a conflict.
export function remembered({ duplicate, current, data, deleted, hasData, conflict, ...result }) {
  if (!conflict) return JSON.stringify(result);
  const { localData, serverData, ...rest } = conflict;
  return JSON.stringify({ ...result, conflict: rest });
}

const content = ({ data, deleted, conflict }) => JSON.stringify([data, deleted, conflict]);

// Whether two answers about one operation agree. The content may differ only where one of them says that the entity has
// another version by now.
export const agree = (x, y) =>
  remembered(x) === remembered(y) && (x.current || y.current ? true : content(x) === content(y));

export class Record {
  constructor() {
    this.complaints = [];
    this.counts = {};
    this.statuses = {};
    this.abortPercent = 1; // percentage of requests that the clients abort
  }

  count(what, by = 1) {
    this.counts[what] = (this.counts[what] ?? 0) + by;
  }

  complain(text) {
    if (this.complaints.push(text) > 200) throw new Error('too many complaints');
  }

  // Checks a reply { status, headers, text } to `user`. Returns { status, headers, json }, with `lost` if it is a
  // fault. Statuses other than 200, 201 and those of a fault must be in `expected`.
  read(what, user, reply, expected) {
    const { status, headers, text } = reply;
    this.statuses[status] = (this.statuses[status] ?? 0) + 1;
    const complain = (why) => this.complain(`${what} of ${user}: ${why}: ${status} ${text.slice(0, 300)}`);
    for (const mark of text.match(marks) ?? []) if (mark !== user) complain(`shows data of ${mark}`);
    if (status === 304 && expected.includes(304)) return { status, headers };
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      complain('is not JSON');
      return { status, lost: 'not JSON' };
    }
    const good = status === 200 || status === 201;
    if (json.success !== good) complain(`success is ${json.success}`);
    if (status >= 500) {
      // 500 is documented, too, but means a fault of the server itself.
      if (![502, 503, 504].includes(status) || json.error !== 'SYNC_FAILED' || !json.message || !json.requestId)
        complain('is not a documented fault');
      return { status, headers, json, lost: String(status) };
    }
    if (!good && !expected.includes(status)) complain('was not expected');
    return { status, headers, json };
  }
}

// The name of a user, which is also in each of its entities.
export const markOf = (run, number) => `torture-${run}-${number}-`;
const marks = /torture-[0-9a-f]+-\d+-/g;
