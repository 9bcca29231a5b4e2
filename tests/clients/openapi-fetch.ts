// The client of openapi-typescript, which makes types only, and openapi-fetch.
import createClient from 'openapi-fetch';
import type { components, paths } from './generated';

export type Operation = components['schemas']['Operation'];
export type Change = components['schemas']['ChangesReply']['changes'][number];

export function connect(baseUrl: string, token: string) {
  const client = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${token}` } });
  return {
    send: async (deviceId: string, operations: Operation[]) =>
      (await client.POST('/operations', { body: { deviceId, operations } })).data?.results,
    pull: async (cursor?: string) => {
      const query = cursor ? { cursor } : { initial: true };
      return (await client.GET('/changes', { params: { query } })).data;
    },
    status: async () => {
      const { data, error } = await client.GET('/status');
      return error ? error.error : data.status;
    },
    health: async () => (await client.GET('/health')).data?.status,
  };
}
