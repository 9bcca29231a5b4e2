// The types of edits, by the kind of the entity.

import type { Entities, Instant, Members, Sets } from './entities.js';

export type Entity = keyof Entities;
export type OperationType = 'create' | 'update' | 'delete';

/** The members of an entity, or of a patch to one: any JSON object. */
export type Data = Record<string, any>;

/** A change of a list: removes the elements that it names, then appends those of `$add`. */
export interface ListChange {
  $add?: any[];
  $remove?: any[];
}

type Required<M> = { [K in keyof M]-?: {} extends Pick<M, K> ? never : K }[keyof M];

/**
 * The data of an update: the known members of the kind, and any others. Null removes a value, undefined counts as
 * absent, a Date is sent as text.
 */
export type Patch<E extends Entity> = Data & {
  [K in keyof Members[E]]?:
    | Members[E][K] | (Instant extends Members[E][K] ? Date : never) | (K extends Sets[E] ? ListChange : never)
    | undefined;
};

/** The data of a create: a patch with the required members. */
export type Create<E extends Entity> = Patch<E> & Pick<Members[E], Required<Members[E]>>;

/** The argument `data` of an edit. Where the kind or the type is a variable of any value, so is the data. */
export type DataOf<E extends Entity, T extends OperationType> =
  Entity extends E ? [data?: Data]
  : OperationType extends T ? [data?: Data]
  : T extends 'create' ? [data: Create<E>]
  : T extends 'update' ? [data: Patch<E>]
  : [data?: Data];

/** The name of a list: a set of the kind, or another member that is a list. */
export type ListName<E extends Entity> = Sets[E] | (string & {});

/** An edit as `queueOperations` takes it. */
export type Edit = {
  [E in Entity]: { entity: E; entityId: string } & (
    | { type: 'create'; data: Create<E> } | { type: 'update'; data: Patch<E> } | { type: 'delete'; data?: undefined }
  );
}[Entity];

/** An edit of any kind and type. `list`: the member of `data` that is a change of a list. */
export interface AnyEdit {
  entity: Entity;
  entityId: string;
  type: OperationType;
  data?: Data;
  list?: string;
}

export interface TransactionOptions {
  /** The server applies all of the operations or none. Default: it applies those that are valid. */
  atomic?: boolean;
}

/** The methods that edit one entity. */
export interface Transaction<R = void> {
  create<E extends Entity>(entity: E, entityId: string, data: Create<E>): R;
  update<E extends Entity>(entity: E, entityId: string, data: Patch<E>): R;
  delete(entity: Entity, entityId: string): R;
  /** Adds elements at the end of a list. One that is in it already moves there. */
  addTo<E extends Entity>(entity: E, entityId: string, list: ListName<E>, ...elements: any[]): R;
  /** Removes elements from a list, all copies. */
  removeFrom<E extends Entity>(entity: E, entityId: string, list: ListName<E>, ...elements: any[]): R;
}
