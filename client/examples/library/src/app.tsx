// The frame of the app: sign-in and sign-out, and what the person must know about sync.
import { type StorageInfo, syncService, type SyncEvents } from '@booky/sync';
import { useSyncStatus } from '@booky/sync/react';
import { useEffect, useState } from 'react';
import { Activity, Attention } from './attention.js';
import { Books } from './books.js';
import { Collections } from './collections.js';
import { lastUser, leave, onSignedOutElsewhere, signIn, signOut, type User, USERS } from './session.js';
import { plural } from './text.js';

export function App() {
  const [user, setUser] = useState(lastUser), [opened, setOpened] = useState<User>();
  useEffect(() => {
    setOpened(undefined);
    if (!user) return;
    void signIn(user).then(() => setOpened(user));
    return onSignedOutElsewhere(user, () => setUser(''));
  }, [user]);
  if (user && opened === user) return <Library key={user} user={user} left={() => setUser('')} />;
  return (
    <main>
      <h1>Library</h1>
      {user ? <p>Opening the library…</p> : Object.entries(USERS).map(([name, shown]) =>
        <p key={name}><button onClick={() => setUser(name as User)}>Sign in as {shown}</button></p>)}
    </main>
  );
}

function Library({ user, left }: { user: User; left: () => void }) {
  const [collection, setCollection] = useState<string>();
  const remove = async () => {
    const { pendingOperations, review } = await syncService.getStatus(), unsent = pendingOperations + review;
    if (unsent && !confirm(`${plural(unsent, 'edit')} will be lost. Sign out all the same?`)) return;
    await signOut(user);
    left();
  };
  return (
    <>
      <header>
        <h1>Library of {USERS[user]}</h1>
        <p className="row">
          <button onClick={() => leave().then(left)}>Change user</button>
          <button onClick={remove}>Sign out and remove the library from this device</button>
        </p>
        <Status />
      </header>
      <main>
        <Attention />
        <Collections selected={collection} select={setCollection} />
        <Books collection={collection} />
        <Activity />
      </main>
    </>
  );
}

function Status() {
  const { status, isOnline, pendingOperations, lastSync, review } = useSyncStatus();
  const [{ done, total }, setProgress] = useState<Partial<SyncEvents['progress']>>({});
  const [storage, setStorage] = useState<StorageInfo>();
  useEffect(() => syncService.on('progress', setProgress), []);
  useEffect(() => syncService.on('storage', setStorage), []);
  const waiting = plural(pendingOperations, 'edit');
  const words =
    !isOnline ? `Offline. ${pendingOperations ? `${waiting} will be sent later.` : 'You can go on.'}`
    : !lastSync ? `Loading ${total ? `${done} of ${total}` : ''}…`
    : pendingOperations ? `Sending ${waiting}…`
    : status === 'error' && !review ? 'The last sync failed. It will be tried again.' : 'Everything is saved.';
  return (
    <>
      <p role="status" className="status">{words}</p>
      {storage?.kind === 'memory' && <p role="alert">This browser keeps no data: wait until everything is saved.</p>}
      {storage?.kind === 'outdated' && <p role="alert">There is a new version of this app. Reload the page.</p>}
    </>
  );
}
