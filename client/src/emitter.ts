// Typed events. An exception in a listener is logged; the other listeners are still called.

export interface Emitter<Events> {
  on<K extends keyof Events>(name: K, listener: (event: Events[K]) => void): () => void;
  emit<K extends keyof Events>(name: K, event: Events[K]): void;
}

export function makeEmitter<Events>(): Emitter<Events> {
  const listeners = new Map<keyof Events, Set<(event: any) => void>>();
  return {
    on(name, listener) {
      const call = (event: any) => listener(event); // a function that is added twice is called twice
      listeners.set(name, (listeners.get(name) ?? new Set()).add(call));
      return () => void listeners.get(name)!.delete(call);
    },
    emit(name, event) {
      for (const listener of [...(listeners.get(name) ?? [])])
        try {
          listener(event);
        } catch (error) {
          console.error('@booky/sync: a listener failed:', error);
        }
    },
  };
}
