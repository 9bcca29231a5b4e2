// Tells React that a mutable object has changed.

import { useSyncExternalStore } from 'react';

export interface Notifier {
  notify(): void;
  subscribe(fn: () => void): () => void;
  version(): number;
}

export function makeNotifier(): Notifier {
  const listeners = new Set<() => void>();
  let version = 0;
  return {
    notify() {
      version++;
      for (const fn of listeners) fn();
    },
    subscribe(fn) {
      listeners.add(fn);
      return () => void listeners.delete(fn);
    },
    version: () => version,
  };
}

/** Renders the component again whenever the notifier is called. */
export const useNotifier = ({ subscribe, version }: Notifier) => useSyncExternalStore(subscribe, version);
