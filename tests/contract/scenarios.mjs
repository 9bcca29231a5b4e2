// What happens before an example of docs/openapi.yaml is sent, where something does. Each scenario gets a new user (an
// Actor of replay.mjs) and returns what the test must put in place of what stands in the example (an id, a cursor), or what stands nowhere in the
// document, because it is wrong: { path, query, headers, body }.
import { at } from './time.mjs';

// edit('10:10', 'update', 'book', 'book-456', {…}): an operation of that time.
export const edit = (time, type, entity, entityId, data, more) => ({ type, entity, entityId, data, timestamp: at(time), ...more });

const theBook = edit('09:00', 'create', 'book', 'book-456', { title: 'The Dispossessed', pageCount: 341 });
const secondBook = edit('09:10', 'create', 'book', 'book-2', { title: 'The Lathe of Heaven' });
const laterTitle = edit('10:10', 'update', 'book', 'book-456', { title: 'The Dispossessed: An Ambiguous Utopia' });
const parked = { id: 'op-789', type: 'update', entity: 'book', entityId: 'book-456', data: { notes: 'lent to Sadik' }, timestamp: at('10:20') };
const queue = (s, operation) => s.call('queueOperation', { body: operation });
const first = { query: { since: '1970-01-01T00:00:00Z' } };
const cursor = async (s, query = first.query) => (await s.call('getChanges', { query })).cursor;

// A book as the laptop has it: made at nine, its title edited at ten past ten.
const edited = async (s) => {
  await s.send([theBook], { deviceId: 'laptop-1' });
  await s.send([laterTitle], { deviceId: 'laptop-1' });
};

// An open conflict of that book; returns its id.
const manual = async (s) => {
  await edited(s);
  const stale = edit('10:00', 'update', 'book', 'book-456', { title: 'Dispossessed' }, { id: 'op-127', conflictResolution: 'manual' });
  const { results } = await s.send([stale], { deviceId: 'phone-1' });
  return results[0].conflict.id;
};
const resolving = (prepare) => async (s) => ({ path: { id: await prepare(s) } });
const decide = (s, id, body) => s.call('resolveConflict', { path: { id }, body });

// Two operations of the queue, one of which cannot be applied: with the other the book would be too large.
const growing = async (s) => {
  const half = 'x'.repeat(600 << 10);
  await s.send([theBook, edit('09:30', 'update', 'book', 'book-456', { description: half })]);
  await queue(s, { ...parked, id: 'op-790', data: { notes: half }, timestamp: at('10:25') });
};

const library = async (s) => {
  await s.send([theBook, edit('09:10', 'create', 'book', 'book-1', { title: 'Tehanu' }), edit('09:20', 'create', 'tag', 'tag-1', { name: 'Utopia' })]);
};
const replaced = async (s) => {
  await library(s);
  return (await s.call('replaceAll', { body: { books: [{ id: 'book-2', title: 'The Lathe of Heaven' }] } })).snapshot;
};

const page = { query: { since: '1970-01-01T00:00:00Z', limit: 1 } };
const shelf = (s) => s.send([theBook, secondBook, edit('09:20', 'create', 'tag', 'tag-1', { name: 'Utopia' })]);

// A user with a bit of everything.
const everything = async (s) => {
  await replaced(s);
  await manual(s);
  await s.send([edit('10:20', 'update', 'book', 'book-789', { notes: 'lent to Sadik' }, { id: 'op-134' })]);
  await s.send([edit('10:20', 'update', 'userSettings', 'settings', { theme: 'dark' }, { id: 'op-4' })]);
  await queue(s, parked);
};

export const scenarios = {
  sendOperations: {
    merged: edited,
    server: edited,
    client: edited,
    manual: edited,
    keepServer: edited,
    keepLocal: edited,
    deletedLater: (s) => s.send([theBook, edit('10:10', 'delete', 'book', 'book-456')], { deviceId: 'laptop-1' }),
    editedLater: edited,
    onePerBook: (s) => s.send([edit('09:00', 'create', 'rating', 'rating-1', { bookId: 'book-456', stars: 4.5 })]),
    sameName: (s) => s.send([edit('09:00', 'create', 'tag', 'tag-1', { name: 'Utopia' })]),
    duplicate: (s) => s.send([edit('10:20', 'create', 'book', 'book-456', { title: 'The Dispossessed' }, { id: 'op-123' })]),
    failed: (s) => s.send([{ ...theBook, id: 'op-123' }]),
    atomicConflict: edited,
  },
  getStatus: {
    ready: async (s) => {
      await s.send([theBook]);
      await queue(s, parked);
      await queue(s, { type: 'delete', entity: 'tag', entityId: 'tag-1' });
    },
    review: async (s) => {
      await growing(s);
      for (let i = 0; i < 5; i++) await s.call('applyPending');
    },
  },
  getChanges: {
    firstPull: shelf,
    since: shelf,
    milliseconds: shelf,
    selective: shelf,
    page: shelf,
    nextPage: async (s) => {
      await shelf(s);
      return { query: { cursor: await cursor(s, page.query) } };
    },
    upToDate: async (s) => {
      await shelf(s);
      return { query: { cursor: await cursor(s) } };
    },
    tombstone: async (s) => {
      await shelf(s);
      const from = await cursor(s);
      await s.send([edit('10:20', 'delete', 'book', 'book-2')], { deviceId: 'laptop-1' });
      return { query: { cursor: from } };
    },
    unchanged: async (s) => {
      await shelf(s);
      const { etag } = (await s.ask('getChanges', first)).headers;
      return { ...first, headers: { 'If-None-Match': etag } };
    },
    beyondHorizon: async (s) => {
      await s.send([theBook]);
      await s.alter('clocks', 'started = 0, horizon = clock');
    },
    otherEpoch: async (s) => {
      await s.send([theBook]);
      const from = await cursor(s);
      await s.call('eraseAll');
      return { query: { cursor: from } };
    },
  },
  replaceAll: {
    replace: library,
    dryRun: library,
    merge: library,
    ifMatch: async (s) => {
      await library(s);
      return { headers: { 'If-Match': `"${await cursor(s)}"` } };
    },
    movedOn: async (s) => {
      await library(s);
      const from = await cursor(s);
      await s.send([laterTitle]);
      return { headers: { 'If-Match': `"${from}"` } };
    },
  },
  queueOperation: {
    repeated: (s) => queue(s, parked),
    reused: (s) => queue(s, parked),
  },
  getPending: {
    page: async (s) => {
      await queue(s, parked);
      await queue(s, { id: 'op-790', type: 'delete', entity: 'tag', entityId: 'tag-1', timestamp: at('10:25') });
    },
    nextPage: async (s) => {
      await queue(s, parked);
      await queue(s, { id: 'op-790', type: 'delete', entity: 'tag', entityId: 'tag-1', timestamp: at('10:25') });
      return { query: { cursor: (await s.call('getPending', { query: { limit: 1 } })).cursor } };
    },
    badLimit: () => ({ query: { limit: 0 } }),
  },
  applyPending: {
    applied: async (s) => {
      await growing(s);
      await queue(s, { ...parked, data: { subtitle: 'An Ambiguous Utopia' } });
    },
  },
  markSynced: {
    marked: async (s) => {
      for (const id of ['op-123', 'op-789']) await queue(s, { ...parked, id });
    },
  },
  clearSynced: {
    cleared: async (s) => {
      await queue(s, parked);
      await s.call('applyPending');
    },
  },
  getConflicts: {
    open: async (s) => {
      await s.send([edit('10:20', 'update', 'book', 'book-789', { notes: 'lent to Sadik' }, { id: 'op-134' })]);
      await manual(s);
    },
    nextPage: async (s) => {
      await s.send([edit('10:20', 'update', 'book', 'book-789', { notes: 'lent to Sadik' }, { id: 'op-134' })]);
      await manual(s);
      return { query: { cursor: (await s.call('getConflicts', { query: { limit: 1 } })).cursor } };
    },
    resolved: async (s) => {
      await edited(s);
      await s.send([edit('10:00', 'update', 'book', 'book-456', { title: 'Dispossessed' }, { id: 'op-125' })], { deviceId: 'phone-1' });
    },
    badStatus: () => ({ query: { status: 'new' } }),
  },
  resolveConflict: {
    keepLocal: resolving(manual),
    keepServer: resolving(manual),
    merge: resolving(manual),
    again: resolving(async (s) => {
      const id = await manual(s);
      await decide(s, id, { resolution: 'keep_server' });
      return id;
    }),
    sameName: resolving(async (s) => {
      await s.send([edit('09:00', 'create', 'tag', 'tag-1', { name: 'Utopia' })]);
      const { results } = await s.send([edit('10:20', 'create', 'tag', 'tag-2', { name: 'Utopia' }, { id: 'op-133' })]);
      return results[0].conflict.id;
    }),
    incomplete: resolving(async (s) => {
      const { results } = await s.send([edit('10:20', 'update', 'book', 'book-789', { notes: 'lent to Sadik' }, { id: 'op-134' })]);
      return results[0].conflict.id;
    }),
    baseVersion: async (s) => {
      const id = await manual(s);
      const { syncedAt } = await s.send([edit('10:25', 'update', 'book', 'book-456', { notes: 'read on the train' })]);
      return { path: { id }, body: { resolution: 'keep_local', baseVersion: syncedAt } };
    },
    resolvedOtherwise: resolving(async (s) => {
      const id = await manual(s);
      await decide(s, id, { resolution: 'keep_server' });
      return id;
    }),
    movedOn: resolving(async (s) => {
      const id = await manual(s);
      await s.send([edit('10:25', 'update', 'book', 'book-456', { notes: 'read on the train' })]);
      return id;
    }),
    unknown: () => ({ path: { id: '1705314600040-7' } }),
  },
  getSnapshots: { one: replaced },
  restoreSnapshot: {
    restored: resolving(replaced),
    unknown: () => ({ path: { id: '1' } }),
  },
  getDigest: { digest: shelf },
  exportAll: { everything },
  eraseAll: { erased: everything },
};
