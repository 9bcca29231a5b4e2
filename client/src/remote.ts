// Conversations with the server that are rare: a library is uploaded, a conflict is decided.

import { conflictOf, type Context } from './context.js';
import type { Pull } from './pull.js';
import type { Data, Entity, FullSyncOptions, Library, Resolution, Store, SyncResult } from './types.js';

const LISTS: [Entity, keyof Library][] = [
  ['book', 'books'], ['rating', 'ratings'], ['tag', 'tags'], ['collection', 'collections'], ['readingLog', 'readings'], ['userSettings', 'settings'],
];

export function makeRemote({ db, http, deviceId }: Context, store: Store, pull: Pull) {
  const library = async (): Promise<Library> => {
    const lists: Library = {};
    for (const [entity, list] of LISTS) {
      const items = await store.list<any>(entity);
      if (items.length) lists[list] = list === 'settings' ? items[0] : items;
    }
    return lists;
  };

  return {
    /** Reads what is to be sent now, and returns the way to send it later. */
    async uploader({ upload, mode }: FullSyncOptions, result: SyncResult): Promise<() => Promise<void>> {
      const local = upload === 'local', replace = mode === 'replace';
      // What the server has beyond the local store may be another device's, and not pulled yet.
      if (local && replace) throw new TypeError('fullSync: to replace what the server has, give the library that it shall become');
      const lists = local ? await library() : (upload as Library);
      return async () => {
        if (replace) await pull.pull((n) => (result.received += n));
        const match = replace ? { 'If-Match': `"${await pull.cursor()}"` } : undefined;
        const { snapshot } = await http.ask('POST', '/full', replace ? lists : { ...lists, mode: 'merge' }, match);
        if (snapshot) result.snapshot = snapshot;
      };
    },

    async resolveConflict(id: string, resolution: Resolution, mergedData?: Data, baseVersion?: string) {
      let error: any;
      const body = await http
        .ask('POST', `/conflicts/${encodeURIComponent(id)}/resolve`, { resolution, mergedData, baseVersion, deviceId: await deviceId() })
        .catch((e) => (error = e));
      if (error && error.code !== 'NOT_FOUND') throw error;
      await db.write(async (tx) => {
        const known = await tx.get('conflicts', id);
        if (error) tx.delete('conflicts', id);
        else if (known) tx.put('conflicts', { ...known, status: 'resolved', resolution: body.conflict?.resolution ?? resolution });
      });
      if (error) throw error;
    },

    async fetchConflicts() {
      const { conflicts } = await http.ask('GET', '/conflicts?status=open&limit=1000');
      await db.write(async (tx) => {
        for (const { id, status } of await tx.all('conflicts')) if (status === 'open') tx.delete('conflicts', id);
        for (const conflict of conflicts) tx.put('conflicts', conflictOf(conflict));
      });
    },
  };
}
