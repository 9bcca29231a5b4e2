// The client of orval, with fetch.
import type { ChangesReply, Operation } from './generated';
import { getChanges, getHealth, getStatus, sendOperations } from './generated';

export type { Operation };
export type Change = ChangesReply['changes'][number];

export function connect(baseUrl: string, token: string) {
  // orval writes the address into the client; the tests generate it for the address of the server.
  void baseUrl;
  const options = { headers: { authorization: `Bearer ${token}` } };
  return {
    send: async (deviceId: string, operations: Operation[]) => {
      const reply = await sendOperations({ deviceId, operations }, options);
      return reply.status === 200 ? reply.data.results : undefined;
    },
    pull: async (cursor?: string) => {
      const reply = await getChanges(cursor ? { cursor } : { initial: true }, options);
      return reply.status === 200 ? reply.data : undefined;
    },
    status: async () => {
      const reply = await getStatus(options);
      return reply.status === 200 ? reply.data.status : reply.data.error;
    },
    health: async () => {
      const reply = await getHealth(options);
      return reply.status === 200 ? reply.data.status : undefined;
    },
  };
}
