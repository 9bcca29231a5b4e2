// Elements, and lists of them. Text gets into the page as text only.

type Child = Node | string | false | null | undefined;
type Props = Record<string, any>;

/** `on…` are listeners, names with a hyphen and `role` are attributes, the rest are properties. */
export function el<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name.includes('-') || name === 'role' || name === 'for') element.setAttribute(name, value);
    else (element as any)[name] = value;
  }
  element.append(...children.filter((child): child is Node | string => !!child || child === ''));
  return element;
}

export const text = (element: Element, value: string) => {
  if (element.textContent !== value) element.textContent = value;
};

export const button = (label: string, onclick: () => unknown, props: Props = {}) =>
  el('button', { type: 'button', textContent: label, onclick, ...props });

/** A row of a list: the element, and how it shows another state of the same thing. */
export interface Row<T> {
  element: HTMLElement;
  show(item: T): void;
}

/** Keeps `parent` showing a list. What stands for the same key stays the same element, so that focus stays where it is;
 *  when the row that has the focus goes away, its neighbour gets it, or `fallback`. */
export function makeList<T>(parent: HTMLElement, keyOf: (item: T) => string, make: (item: T) => Row<T>, fallback: HTMLElement) {
  const rows = new Map<string, Row<T>>();
  return (items: T[]) => {
    const keys = items.map(keyOf), wanted = new Set(keys);
    for (const [key, { element }] of rows) {
      if (wanted.has(key)) continue;
      const focused = element.contains(document.activeElement);
      const neighbour = element.nextElementSibling ?? element.previousElementSibling;
      element.remove();
      rows.delete(key);
      if (focused) (neighbour?.querySelector<HTMLElement>('button, select') ?? fallback).focus();
    }
    items.forEach((item, i) => {
      const row = rows.get(keys[i]) ?? make(item);
      rows.set(keys[i], row);
      row.show(item);
      // Moving an element takes the focus away, so only what stands elsewhere is moved.
      if (parent.children[i] !== row.element) parent.insertBefore(row.element, parent.children[i] ?? null);
    });
  };
}

/** A modal dialog that is made when it opens and gone when it is closed. Focus goes back to where it was, or, when that is
 *  gone, to `fallback`. */
export function openDialog(title: string, fallback: HTMLElement, fill: (body: HTMLElement, close: () => void) => void): void {
  const before = document.activeElement as HTMLElement | null;
  const heading = el('h2', { id: 'dialog-title', textContent: title });
  const body = el('div', { className: 'dialog-body' });
  const dialog = el('dialog', { 'aria-labelledby': 'dialog-title' }, heading, body);
  dialog.addEventListener('close', () => {
    dialog.remove();
    (before?.isConnected ? before : fallback).focus();
  });
  document.body.append(dialog);
  fill(body, () => dialog.close());
  dialog.showModal();
}

export const number = (n: number) => n.toLocaleString('en');
export const plural = (n: number, one: string, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;
export const time = (instant: string | Date) => new Date(instant).toLocaleTimeString('en-GB');
