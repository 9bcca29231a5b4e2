// The methods by which an app edits one entity. `push` takes the edit that a call describes.

import type { AnyEdit, Transaction } from './types.js';

export const makeRecorder = <R>(push: (edit: AnyEdit) => R): Transaction<R> => ({
  create: (entity, entityId, data) => push({ entity, entityId, type: 'create', data }),
  update: (entity, entityId, data) => push({ entity, entityId, type: 'update', data }),
  delete: (entity, entityId) => push({ entity, entityId, type: 'delete' }),
  addTo: (entity, entityId, list, ...$add) =>
    push({ entity, entityId, type: 'update', data: { [list]: { $add } }, list }),
  removeFrom: (entity, entityId, list, ...$remove) =>
    push({ entity, entityId, type: 'update', data: { [list]: { $remove } }, list }),
});
