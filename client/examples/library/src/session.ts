// Who is signed in. The library of each user is in a database of its own.
import { syncService } from '@booky/sync';
import { enableBackgroundSync } from '@booky/sync/service-worker';

export const USERS = { alice: 'Alice', bert: 'Bert' };
export type User = keyof typeof USERS;

/** Whose library this tab shows. A new tab starts with the user who signed in last. */
export const lastUser = () => (sessionStorage.getItem('user') ?? localStorage.getItem('user')) as User | '' | null;

let endBackgroundSync = () => {};

async function askForToken(user: User): Promise<string> {
  const response = await fetch(`session/${user}.json`, { cache: 'no-store' });
  if (!response.ok) throw new Error(`no session: ${response.status}`);
  return (await response.json()).token;
}

export async function signIn(user: User) {
  let asked: Promise<string> | undefined;
  const token = (refresh: boolean) => {
    if (refresh || !asked) (asked = askForToken(user)).catch(() => (asked = undefined));
    return asked!;
  };
  const database = `library-${user}`;
  await syncService.switchUser({ token, database });
  syncService.startMonitoring();
  for (const storage of [sessionStorage, localStorage]) storage.setItem('user', user);
  endBackgroundSync = enableBackgroundSync(database);
  await caches.open('session').then((cache) => cache.put('user', new Response(user)), () => {}); // for sw.js
}

/** Leaves the library of the user on this device, with the edits that are not sent, for the next time. */
export async function leave() {
  endBackgroundSync();
  sessionStorage.setItem('user', '');
  await caches.delete('session').catch(() => {});
  await syncService.close();
}

/** Removes the library of the user from this device, and signs out the other tabs of the user. */
export async function signOut(user: User) {
  localStorage.removeItem('user');
  localStorage.setItem('left', `${user} ${Date.now()}`);
  await syncService.clear({ force: true });
  await leave();
}

/** Calls `done` when the user of this tab has signed out in another one. */
export function onSignedOutElsewhere(user: User, done: () => void) {
  const listen = ({ key, newValue }: StorageEvent) => {
    if (key === 'left' && newValue?.startsWith(`${user} `)) void leave().then(done);
  };
  addEventListener('storage', listen);
  return () => removeEventListener('storage', listen);
}
