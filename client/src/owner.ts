// The person whose token the app gives, and to whom the database belongs.

import type { Database } from './database.js';
import type { Options } from './options.js';
import { type Clock, SyncError } from './types.js';

const PATIENCE = 1000; // milliseconds

/** The user of a token, read as the server reads it; undefined when the token is not a JWT. */
function userOf(token: string): string | undefined {
  try {
    const claims = JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
    return claims.userId ?? claims.sub;
  } catch {
    return undefined;
  }
}

export interface Owner {
  /** Rejects with USER_CHANGED if the database belongs to another user than the token. */
  check(): Promise<void>;
  /**
   * The token for a request. `refresh`: the server has rejected the former one. Rejects with OFFLINE if the app cannot
   * ask for a token, and with UNAUTHORIZED if it has none.
   */
  token(refresh: boolean): Promise<string>;
  /** The database was cleared. */
  forget(): void;
  /** Until when the server has asked to wait. */
  waitUntil: number;
}

export function makeOwner({ options, db, clock }: { options: Options; db: Database; clock: Clock }): Owner {
  // The edits of one person must not end up in the library of another person who signs in later. `owner` is rejected
  // while the database belongs to another user than the token.
  let owner: Promise<void> | undefined, first: string | null | undefined;
  const claim = async (token: string) => {
    const user = userOf(token);
    const known = user && (await db.read((tx) => tx.get('meta', 'user')));
    if (user && known && known !== user)
      throw new SyncError('USER_CHANGED', 'the database belongs to another user: clear() it or use another');
    if (user && !known) await db.write((tx) => tx.put('meta', user, 'user'));
  };

  const askToken = async (refresh: boolean) => {
    const { token } = options;
    return typeof token === 'function' ? token(refresh) : token;
  };

  const token = async (refresh: boolean) => {
    const value = first ?? (await askToken(refresh).catch((error) => {
      throw new SyncError('OFFLINE', `token() has failed: ${error}`);
    }));
    first = undefined;
    if (!value) throw new SyncError('UNAUTHORIZED', 'there is no token');
    owner = claim(value);
    await owner;
    return value;
  };

  // The first use asks for the token, but does not wait long: the app may be offline. The first request takes it over.
  const check = () =>
    (owner ??= (async () => {
      let timer: any;
      const late = new Promise<undefined>((resolve) => (timer = clock.setTimeout(() => resolve(undefined), PATIENCE)));
      first = await Promise.race([askToken(false).catch(() => undefined), late]);
      clock.clearTimeout(timer);
      if (first) await claim(first);
    })());

  return {
    check, token,
    forget() {
      owner = first = undefined;
      this.waitUntil = 0;
    },
    waitUntil: 0,
  };
}
