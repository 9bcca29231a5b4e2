// The preparations for examples of docs/openapi.yaml. Each scenario gets a new user (an Actor of replay.mjs) and may
// return { path, query, headers, body } to replace parts of the example: an id, a cursor, or an invalid value that the
// document does not contain.
import { at } from './time.mjs';

// edit('op-1', '10:10', 'update', 'book', 'book-456', {…}): an operation with that time of the day.
const edit = (id, time, type, entity, entityId, data, more) => ({
  id,
  type,
  entity,
  entityId,
  data,
  timestamp: at(time),
  ...more,
});

const theBook = edit('op-101', '09:00', 'create', 'book', 'book-456', { title: 'The Dispossessed', pageCount: 341 });
const secondBook = edit('op-102', '09:10', 'create', 'book', 'book-2', { title: 'The Lathe of Heaven' });
const theTag = edit('op-103', '09:20', 'create', 'tag', 'tag-1', { name: 'Utopia' });
const theRating = edit('op-104', '09:30', 'create', 'rating', 'rating-1', { bookId: 'book-456', stars: 4.5 });
const shelved = edit('op-149', '09:50', 'create', 'collection', 'collection-1', {
  name: 'Utopias',
  bookIds: ['book-9', 'book-456'],
});
const laterTitle = edit('op-105', '10:10', 'update', 'book', 'book-456', {
  title: 'The Dispossessed: An Ambiguous Utopia',
});
const staleTitle = edit('op-125', '10:00', 'update', 'book', 'book-456', { title: 'Dispossessed' });
const overtaken = edit('op-134', '10:20', 'update', 'book', 'book-789', { notes: 'lent to Sadik' });
const laterNotes = edit('op-144', '10:25', 'update', 'book', 'book-456', { notes: 'read on the train' });
const parked = edit('op-789', '10:20', 'update', 'book', 'book-456', { notes: 'lent to Sadik' });
const parkedDeletion = edit('op-790', '10:25', 'delete', 'tag', 'tag-1');
const queue = (s, operation) => s.call('queueOperation', { body: operation });
const first = { query: { since: '1970-01-01T00:00:00Z' } };
const cursor = async (s, query = first.query) => (await s.call('getChanges', { query })).cursor;

// Makes a book on the laptop: created at 09:00, its title edited at 10:10.
const edited = async (s) => {
  await s.send([theBook], { deviceId: 'laptop-1' });
  await s.send([laterTitle], { deviceId: 'laptop-1' });
};

// Makes an open conflict about that book; resolves to its id.
const manual = async (s) => {
  await edited(s);
  const { results } = await s.send([{ ...staleTitle, id: 'op-127', conflictResolution: 'manual' }], {
    deviceId: 'phone-1',
  });
  return results[0].conflict.id;
};
const resolving = (prepare) => async (s) => ({ path: { id: await prepare(s) } });
const decide = (s, id, body) => s.call('resolveConflict', { path: { id }, body });

// Makes a queue with an operation that cannot be applied, because the book would become too large.
const growing = async (s) => {
  const half = 'x'.repeat(600 << 10);
  await s.send([theBook, edit('op-106', '09:30', 'update', 'book', 'book-456', { description: half })]);
  await queue(s, { ...parked, id: 'op-790', data: { notes: half }, timestamp: at('10:25') });
};

// Deletions of the user up to the present may be forgotten.
const forgetful = async (s) => {
  await s.send([theTag]);
  await s.alter('clocks', 'horizon = clock');
};

const library = (s) =>
  s.send([theBook, edit('op-107', '09:10', 'create', 'book', 'book-1', { title: 'Tehanu' }), theTag]);
const replaced = async (s) => {
  await library(s);
  return (await s.call('replaceAll', { body: { books: [{ id: 'book-2', title: 'The Lathe of Heaven' }] } })).snapshot;
};

const page = { query: { since: '1970-01-01T00:00:00Z', limit: 1 } };
const shelf = (s) => s.send([theBook, secondBook, theTag]);

// Makes some data of every kind.
const everything = async (s) => {
  await s.send([
    theTag,
    theRating,
    overtaken,
    edit('op-108', '09:40', 'create', 'userSettings', 'settings', { theme: 'dark' }),
  ]);
  await manual(s);
  await s.call('replaceAll', { body: { mode: 'replace', tags: [] } });
  await queue(s, parked);
};

export const scenarios = {
  sendOperations: {
    beyondHorizon: forgetful,
    merged: edited,
    server: edited,
    client: edited,
    manual: edited,
    keepServer: edited,
    keepLocal: edited,
    deletedLater: (s) =>
      s.send([theBook, edit('op-109', '10:10', 'delete', 'book', 'book-456')], { deviceId: 'laptop-1' }),
    editedLater: edited,
    elements: (s) => s.send([shelved, edit('op-150', '10:10', 'update', 'collection', 'collection-1', {
      bookIds: { $add: ['book-1'] },
    })], { deviceId: 'laptop-1' }),
    onePerBook: (s) => s.send([theRating]),
    sameName: (s) => s.send([theTag]),
    duplicate: (s) => s.send([edit('op-123', '10:20', 'create', 'book', 'book-456', { title: 'The Dispossessed' })]),
    failed: (s) => s.send([{ ...theBook, id: 'op-123' }]),
    atomicConflict: edited,
  },
  getStatus: {
    ready: async (s) => {
      await s.send([theBook]);
      await queue(s, parked);
      await queue(s, parkedDeletion);
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
    times: async (s) => {
      await shelf(s);
      await s.send([laterTitle]);
    },
    upToDate: async (s) => {
      await shelf(s);
      return { query: { cursor: await cursor(s) } };
    },
    tombstone: async (s) => {
      await shelf(s);
      const from = await cursor(s);
      await s.send([edit('op-110', '10:20', 'delete', 'book', 'book-2')], { deviceId: 'laptop-1' });
      return { query: { cursor: from } };
    },
    counted: shelf,
    delta: async (s) => {
      await shelf(s);
      const from = await cursor(s);
      await s.send([edit('op-111', '10:20', 'update', 'book', 'book-456', { averageRating: 4.5 })], {
        deviceId: 'laptop-1',
      });
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
    erased: async (s) => {
      await s.send([theBook]);
      const from = await cursor(s);
      await s.call('eraseAll');
      return { query: { cursor: from } };
    },
    restored: async (s) => {
      await s.send([theBook]);
      const from = await cursor(s);
      await s.restore();
      return { query: { cursor: from } };
    },
  },
  getEntity: {
    live: shelf,
    deleted: async (s) => {
      await shelf(s);
      await s.send([edit('op-112', '10:20', 'delete', 'book', 'book-2')], { deviceId: 'laptop-1' });
    },
    incomplete: (s) => s.send([overtaken]),
    unknown: shelf,
  },
  replaceAll: {
    replace: library,
    dryRun: library,
    merge: library,
    kept: library,
    exactly: library,
    changes: library,
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
      await queue(s, parkedDeletion);
    },
    nextPage: async (s) => {
      await queue(s, parked);
      await queue(s, parkedDeletion);
      return { query: { cursor: (await s.call('getPending', { query: { limit: 1 } })).cursor } };
    },
    badLimit: () => ({ query: { limit: 0 } }),
  },
  applyPending: {
    applied: async (s) => {
      await growing(s);
      await s.send([edit('op-107', '09:10', 'create', 'book', 'book-1', { title: 'Tehanu' })]);
      await queue(s, { ...parked, entityId: 'book-1', data: { subtitle: 'The Last Book of Earthsea' } });
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
      await s.send([overtaken]);
      await manual(s);
    },
    nextPage: async (s) => {
      await s.send([overtaken]);
      await manual(s);
      return { query: { cursor: (await s.call('getConflicts', { query: { limit: 1 } })).cursor } };
    },
    resolved: async (s) => {
      await edited(s);
      await s.send([staleTitle], { deviceId: 'phone-1' });
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
      await s.send([theTag]);
      const { results } = await s.send([edit('op-133', '10:20', 'create', 'tag', 'tag-2', { name: 'Utopia' })]);
      return results[0].conflict.id;
    }),
    incomplete: resolving(async (s) => {
      const { results } = await s.send([overtaken]);
      return results[0].conflict.id;
    }),
    baseVersion: async (s) => {
      const id = await manual(s);
      const { syncedAt } = await s.send([laterNotes]);
      return { path: { id }, body: { resolution: 'keep_local', baseVersion: syncedAt } };
    },
    resolvedOtherwise: resolving(async (s) => {
      const id = await manual(s);
      await decide(s, id, { resolution: 'keep_server' });
      return id;
    }),
    movedOn: resolving(async (s) => {
      const id = await manual(s);
      await s.send([laterNotes]);
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
