// Counts and complaints of the whole run, and what must hold for every reply whatever it answers.

export class Record {
  constructor() {
    this.complaints = [];
    this.counts = {};
    this.statuses = {};
    this.cutting = 1; // percent of the requests that the clients cut
  }

  count(what, by = 1) {
    this.counts[what] = (this.counts[what] ?? 0) + by;
  }

  complain(text) {
    if (this.complaints.push(text) > 200) throw new Error('too much is wrong');
  }

  // The reply { status, headers, text } to `user`, as { status, headers, json } with `lost` when it answers nothing. Statuses
  // beside 200, 201 and those of a fault must be in `expected`.
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
      // 500 is documented too, but means a fault of the server itself.
      if (![502, 503, 504].includes(status) || json.error !== 'SYNC_FAILED' || !json.message || !json.requestId) complain('is not a documented fault');
      return { status, headers, json, lost: String(status) };
    }
    if (!good && !expected.includes(status)) complain('was not expected');
    return { status, headers, json };
  }
}

// How users are called, which also stands in every entity of theirs.
export const markOf = (run, number) => `torture-${run}-${number}-`;
const marks = /torture-[0-9a-f]+-\d+-/g;
