// RxDB: replicates one collection with one kind of Booky Sync, with RxDB's own replication.
//
// A document of the collection has the members of the entity that the schema names, and two of its own: `version`, the
// `updatedAt` of the state that was pulled last, and `editedAt`, the time of the latest edit on this device.
import { replicateRxCollection } from 'rxdb/plugins/replication';
import { Subject } from 'rxjs';
import { difference, timeOfEdit } from './booky.mjs';

export const ownMembers = { version: { type: 'string' }, editedAt: { type: 'number' } };

// The members of a document that Booky Sync knows.
const content = ({ id, version, editedAt, _deleted, ...members }) => members;

export function replicate({ collection, kind, booky, live = true, retryTime = 5000 }) {
  const members = Object.keys(collection.schema.jsonSchema.properties);
  const document = ({ id, updatedAt, ...data }, deleted = false) => ({
    ...Object.fromEntries(members.filter((name) => name in data).map((name) => [name, data[name]])),
    id, version: updatedAt, _deleted: deleted,
  });
  const all = (selector) => collection.find({ selector }).exec();

  // RxDB keeps no time of an edit, so every local write stamps the document. Replicated writes run no hooks.
  const stamp = (doc) => {
    doc.editedAt = Math.max(timeOfEdit(doc.version), (doc.editedAt ?? 0) + 1);
  };
  collection.preInsert(stamp, false);
  collection.preSave(stamp, false);
  collection.preRemove(stamp, false);

  const pokes = new Subject();
  const replication = replicateRxCollection({
    collection, live, retryTime, replicationIdentifier: `booky-${kind}`,
    pull: {
      stream$: pokes,
      async handler(checkpoint) {
        const { changes, cursor, complete } = await booky.pull({
          cursor: checkpoint?.cursor, kinds: kind,
          held: async () => (await all({})).map((doc) => ({
            type: kind, data: { id: doc.id, updatedAt: doc.version, ...content(doc.toJSON()) } })),
        });
        const documents = changes.map(({ data, deleted }) => document(data, deleted));
        if (complete) {
          const ids = new Set(changes.map(({ data }) => data.id));
          for (const { id } of await all({})) if (!ids.has(id)) documents.push({ id, _deleted: true });
        }
        return { documents, checkpoint: { cursor } };
      },
    },
    push: {
      batchSize: 500,
      // RxDB tells what it last knew of the server's state, so only the difference is sent. What the server made of it
      // is returned as a conflict if it may be another document; RxDB's default conflict handler takes it as it is.
      async handler(rows) {
        const edited = rows.filter(({ newDocumentState: now, assumedMasterState: old }) =>
          now.editedAt !== old?.editedAt); // else a state that this handler has returned
        const operations = edited.flatMap(({ newDocumentState: now, assumedMasterState: old }) => {
          const known = old && !old._deleted, data = difference(kind, known ? content(old) : {}, content(now));
          const operation = { entity: kind, entityId: now.id, timestamp: now.editedAt, baseVersion: now.version };
          if (!now._deleted) return [{ ...operation, type: known ? 'update' : 'create', data: data ?? {} }];
          // Edits that waited when the row was deleted: a later edit of another device may bring the row back.
          const before = data && { ...operation, type: known ? 'update' : 'create', data, timestamp: now.editedAt - 1 };
          return [...(before ? [before] : []), { ...operation, type: 'delete' }];
        });
        const states = await booky.push(operations);
        return edited.flatMap(({ newDocumentState: { id, editedAt } }) => {
          const { data, deleted, updatedAt } = states[operations.findLastIndex(({ entityId }) => entityId === id)];
          return data || deleted ? [{ ...document({ ...data, id, updatedAt }, deleted), editedAt }] : [];
        });
      },
    },
  });
  return Object.assign(replication, { poke: () => pokes.next('RESYNC') });
}
