// Rare requests: the upload of a library and the resolution of conflicts.

import { addConflicts, conflictOf } from './conflicts.js';
import type { Context } from './context.js';
import { inParts } from './parts.js';
import type { Lost, Pull } from './pull.js';
import type { AnyStore } from './store.js';
import type {
  ConflictInfo, Data, Entity, FullSyncOptions, Library, Resolution, SyncEvents, SyncResult,
} from './types.js';

type Keys = SyncEvents['change']['entities'];

const LISTS: [Entity, keyof Library][] = [
  ['book', 'books'], ['rating', 'ratings'], ['tag', 'tags'], ['collection', 'collections'],
  ['readingLog', 'readings'], ['userSettings', 'settings'],
];

export function makeRemote({ db, http, deviceId, emit, up }: Context, store: AnyStore, pull: Pull) {
  const library = async (): Promise<Library> => {
    const lists: Library = {};
    for (const [entity, list] of LISTS) {
      const items = await store.list(entity);
      if (items.length) lists[list] = list === 'settings' ? items[0] : items;
    }
    return lists;
  };

  /** Uploads a library as a merge, in as many parts as its size requires. */
  const merge = (lists: Library) => {
    const items = Object.entries(lists).flatMap(([list, value]) =>
      (Array.isArray(value) ? value : [value]).map((item, index) => ({ list, item, index })));
    const send = async (part: typeof items) => {
      const body: Record<string, any> = { mode: 'merge' }, indexes: Record<string, number[]> = {};
      for (const { list, item, index } of part) {
        if (Array.isArray((lists as any)[list])) (body[list] ??= []).push(item);
        else body[list] = item;
        (indexes[list] ??= []).push(index);
      }
      await up.use(() => http.callOk('POST', '/full', body)).catch((error) => {
        for (const detail of error.details ?? [])
          detail.path = detail.path.replace(/^(\w+)\[(\d+)\]/, (_: string, list: string, i: number) =>
            `${list}[${indexes[list]?.[i] ?? i}]`);
        throw error;
      });
    };
    return inParts(items, () => up.size, send, ['PAYLOAD_TOO_LARGE'], async (_, error) => {
      throw error;
    });
  };

  /** The open conflicts of all devices; with `settled`, the latest resolved ones too. */
  const fetchConflicts = async (settled?: boolean) => {
    const { conflicts } = await http.callOk('GET', `/conflicts?${settled ? '' : 'status=open&'}limit=1000`);
    await db.write(async (tx) => {
      for (const { id, status } of await tx.all('conflicts')) if (status === 'open') tx.delete('conflicts', id);
      for (const conflict of conflicts) tx.put('conflicts', conflictOf(conflict));
      await addConflicts(tx, []);
    });
  };

  return {
    /** Reads the library to upload now. Returns a function that uploads it. */
    async uploader({ upload, mode }: FullSyncOptions, result: SyncResult): Promise<() => Promise<void>> {
      const local = upload === 'local', replace = mode === 'replace';
      // The server may have entities of other devices that this one has not pulled yet.
      if (local && replace)
        throw new TypeError('fullSync: mode replace needs a library; the local store cannot replace the server\'s');
      const lists = local ? await library() : (upload as Library);
      return async () => {
        while (replace && (await pull.pull((n) => (result.received += n))));
        const match = replace ? { 'If-Match': `"${await pull.cursor()}"` } : undefined;
        if (!replace) return merge(lists);
        const { snapshot } = await http.callOk('POST', '/full', { ...lists, mode: 'replace' }, match);
        if (snapshot) result.snapshot = snapshot;
      };
    },

    async resolveConflict(id: string, resolution: Resolution, mergedData?: Data, baseVersion?: string) {
      let error: any;
      const decision = { resolution, mergedData, baseVersion, deviceId: await deviceId() };
      const body = await http
        .callOk('POST', `/conflicts/${encodeURIComponent(id)}/resolve`, decision)
        .catch((e) => (error = e));
      if (error && error.code !== 'NOT_FOUND') throw error;
      const how = body.conflict?.resolution ?? resolution;
      const known = await db.write(async (tx) => {
        const conflict = await tx.get('conflicts', id);
        if (error) tx.delete('conflicts', id);
        else if (conflict) tx.put('conflicts', { ...conflict, status: 'resolved', resolution: how });
        return conflict;
      });
      if (error) throw error;
      const { entity, entityId } = known ?? body.conflict ?? {};
      if (entity) emit('activity', { kind: 'conflict', entities: [{ entity, entityId }], resolution: how });
    },

    fetchConflicts,

    /**
     * A change of its entity may have settled an open conflict: a decision on another device, or an edit. Returns the
     * changes to check again, because there was no answer.
     */
    async checkOpen(open: ConflictInfo[], changed: Keys): Promise<Keys> {
      const settled = ({ entity, entityId, otherId }: ConflictInfo) =>
        changed.some((it) => it.entity === entity && [entityId, otherId].includes(it.entityId));
      return open.some(settled) ? fetchConflicts().then(() => [], () => changed) : [];
    },

    /** Tells the app about conflicts in which an edit of another device has won against one of this device. */
    async tellLost(lost: Lost[]) {
      const { status, body } = await http.call('GET', '/conflicts?status=resolved&limit=100');
      if (status !== 200) return;
      const device = await deviceId();
      const ours = (body.conflicts ?? []).filter((conflict: any) =>
        conflict.deviceId !== device &&
        lost.some(({ type, id, seen }) =>
          type === conflict.entity && id === conflict.entityId && conflict.createdAt >= seen!));
      const added = await db.write((tx) => addConflicts(tx, ours.map(conflictOf)));
      for (const conflict of added) emit('conflict', conflict);
    },
  };
}
