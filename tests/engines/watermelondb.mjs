// WatermelonDB: pullChanges and pushChanges for its `synchronize`.
//
// Each table has, beside its own columns, `version` (string: the `updatedAt` of the state that was pulled last) and
// `updated_at` (number: WatermelonDB sets it at each edit). A list or an object is a string column of JSON.
import { Q } from '@nozbe/watermelondb';
import { synchronize } from '@nozbe/watermelondb/sync/index.js';
import { timeOfEdit } from './booky.mjs';

// tables: the name of each table → { kind, columns: { name of the column: name of the member }, json: [columns] }
export function syncWith({ database, tables, booky }) {
  const byKind = Object.fromEntries(Object.entries(tables).map(([table, { kind }]) => [kind, table]));

  const toRow = ({ columns, json = [] }, data) => ({
    id: data.id, version: data.updatedAt, updated_at: Date.parse(data.updatedAt),
    ...Object.fromEntries(Object.entries(columns).map(([column, member]) =>
      [column, json.includes(column) ? JSON.stringify(data[member] ?? null) : data[member]])),
  });

  // The members of the named columns.
  const toData = ({ columns, json = [] }, row, names) => Object.fromEntries(names.map((column) =>
    [columns[column], json.includes(column) ? JSON.parse(row[column] || 'null') : row[column]]));

  const idsWith = (table, ...clauses) => database.get(table).query(...clauses).fetchIds();

  async function pullChanges({ lastPulledAt }) {
    const cursor = await database.localStorage.get('cursor');
    const pulled = await booky.pull({ cursor, kinds: Object.keys(byKind), held }), { complete } = pulled;
    const answers = complete ? [] : (await database.localStorage.get('answers')) ?? [];
    const changes = [...answers.filter((answer) => !pulled.changes.some(({ type, data }) =>
      type === answer.type && data.id === answer.data.id)), ...pulled.changes];
    const tableChanges = {};
    for (const table of Object.keys(tables)) {
      const own = changes.filter(({ type }) => byKind[type] === table);
      // An edit that waits may be later than the deletion. If it is not, its row is deleted at the next pull.
      const waiting = new Set(await idsWith(table, Q.where('_status', Q.oneOf(['created', 'updated']))));
      const live = own.filter(({ deleted }) => !deleted), ids = new Set(live.map(({ data }) => data.id));
      const gone = complete ? (await idsWith(table)).filter((id) => !ids.has(id))
        : own.filter(({ deleted }) => deleted).map(({ data }) => data.id);
      tableChanges[table] = {
        created: [], updated: live.map(({ data }) => toRow(tables[table], data)),
        deleted: gone.filter((id) => !waiting.has(id)),
      };
    }
    return { changes: tableChanges, timestamp: (lastPulledAt ?? 0) + 1, cursor: pulled.cursor };
  }

  async function held() {
    const rows = await Promise.all(Object.entries(tables).map(async ([table, { kind, columns }]) =>
      (await database.get(table).query(Q.where('version', Q.notEq(''))).fetch()).map(({ _raw: row }) =>
        ({ type: kind, data: { id: row.id, updatedAt: row.version,
          ...toData(tables[table], row, Object.keys(columns)) } }))));
    return rows.flat();
  }

  async function pushChanges({ changes }) {
    const operations = [];
    for (const [table, { kind, columns }] of Object.entries(tables)) {
      const { created, updated, deleted } = changes[table];
      const add = (type, row, names) => operations.push({
        type, entity: kind, entityId: row.id, timestamp: Math.max(row.updated_at, timeOfEdit(row.version, 0)),
        baseVersion: row.version || undefined, data: toData(tables[table], row, names.filter((name) => columns[name])),
      });
      for (const row of created) add('create', row, Object.keys(columns));
      for (const row of updated) add('update', row, row._changed.split(','));
      // WatermelonDB knows only the id of a deleted row, so the deletion counts from now.
      for (const id of deleted) operations.push({ type: 'delete', entity: kind, entityId: id, timestamp: Date.now() });
    }
    const states = await booky.push(operations);
    // WatermelonDB keeps what it sent, also where the server made something else of it. The pull before this push may
    // have brought that already, so these rows are added to the next pull.
    await database.localStorage.set('answers', states.flatMap(({ updatedAt, data, deleted }, i) => (data || deleted
      ? [{ type: operations[i].entity, deleted, data: { ...data, id: operations[i].entityId, updatedAt } }] : [])));
  }

  return () => synchronize({
    database, pullChanges, pushChanges, sendCreatedAsUpdated: true,
    async onDidPullChanges({ cursor }) { // WatermelonDB stores only a number
      await database.localStorage.set('cursor', cursor);
      await database.localStorage.remove('answers');
    },
    // WatermelonDB takes the columns that were not edited here from the server. The edit remains based on the version
    // that the person saw. A new row that comes back was sent, and only the answer was lost.
    conflictResolver(_table, local, _remote, resolved) {
      const _status = local._status === 'created' ? (local._changed ? 'updated' : 'synced') : local._status;
      return { ...resolved, _status, version: _status === 'updated' ? local.version : resolved.version };
    },
  });
}
