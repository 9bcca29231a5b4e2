// The client of @hey-api/openapi-ts.
import type { ChangesReply, Operation } from './generated';
import { getChanges, getHealth, getStatus, sendOperations } from './generated';
import { createClient } from './generated/client';

export type { Operation };
export type Change = ChangesReply['changes'][number];

export function connect(baseUrl: string, token: string) {
  const client = createClient({ baseUrl, auth: token });
  return {
    send: async (deviceId: string, operations: Operation[]) =>
      (await sendOperations({ client, body: { deviceId, operations } })).data?.results,
    pull: async (cursor?: string) => {
      const query = cursor ? { cursor } : { initial: true };
      return (await getChanges({ client, query })).data;
    },
    status: async () => {
      const { data, error } = await getStatus({ client });
      return error ? error.error : data?.status;
    },
    health: async () => (await getHealth({ client })).data?.status,
  };
}
