// Dialogs, messages that can be undone, and sections.

import { type ReactNode, useEffect, useId, useLayoutEffect, useRef, useState } from 'react';
import { makeNotifier, useNotifier } from './notifier.js';
import { number } from './words.js';

/**
 * A modal dialog. When it is closed, the focus returns to the element that had it, or to the element `fallback` if that
 * one is gone.
 */
export function Dialog({
  title,
  fallback,
  onClose,
  children,
}: {
  title: string;
  fallback: string;
  onClose(): void;
  children: ReactNode;
}) {
  const ref = useRef<HTMLDialogElement>(null),
    heading = useId();
  useLayoutEffect(() => {
    const dialog = ref.current!,
      before = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close(); // the browser returns the focus
      if (!before?.isConnected) document.getElementById(fallback)?.focus();
    };
  }, []);
  return (
    <dialog ref={ref} aria-labelledby={heading} onCancel={onClose}>
      <h2 id={heading}>{title}</h2>
      <div className="dialog-body">{children}</div>
      {/* The last one, so that a dialog opens with the focus on its first field. */}
      <button type="button" className="quiet close" aria-label="Close" onClick={onClose}>
        ✕
      </button>
    </dialog>
  );
}

export function Field({ label, children }: { label: string; children: (id: string) => ReactNode }) {
  const id = useId();
  return (
    <p className="field">
      <label htmlFor={id}>{label}</label>
      {children(id)}
    </p>
  );
}

/** A section of a panel. Without `empty`, an empty section is hidden. */
export function Section({
  title,
  size,
  empty,
  id,
  children,
}: {
  title: string;
  size: number;
  empty?: string;
  id?: string;
  children?: ReactNode;
}) {
  if (!size && !empty) return null;
  return (
    <section className="part">
      <h3 tabIndex={-1} id={id}>
        {title} <span className="count">{number(size)}</span>
      </h3>
      {size ? null : <p className="none">{empty}</p>}
      {children}
    </section>
  );
}

/** A row of a list. If it goes while it has the focus, the next row gets the focus, or the element `fallback`. */
export function FocusRow({
  fallback,
  className,
  children,
}: {
  fallback: string;
  className: string;
  children: ReactNode;
}) {
  const ref = useRef<HTMLLIElement>(null);
  useLayoutEffect(() => {
    const row = ref.current!;
    return () => {
      if (!row.contains(document.activeElement)) return;
      const next = row.nextElementSibling ?? row.previousElementSibling;
      (next?.querySelector('button') ?? document.getElementById(fallback))?.focus();
    };
  }, []);
  return (
    <li ref={ref} className={className}>
      {children}
    </li>
  );
}

// What screen readers are told, and the one message that can be undone.

const said = makeNotifier();
let words = '',
  message: { text: string; undo(): unknown; stays: boolean } | undefined;

export function announce(text: string) {
  words = text;
  said.notify();
}

/** The message goes after 20 seconds, unless it `stays`. */
export function offerUndo(text: string, undo: () => unknown, stays = false) {
  message = { text, undo, stays };
  announce(text);
}

export function Messages() {
  useNotifier(said);
  const count = said.version();
  useEffect(() => {
    if (!message || message.stays) return;
    const current = message;
    const timer = setTimeout(() => current === message && dismiss(), 20_000);
    return () => clearTimeout(timer);
  }, [message]);
  const dismiss = () => {
    message = undefined;
    said.notify();
  };
  return (
    <>
      {/* A new element each time: screen readers do not announce the same text again. */}
      <p role="status" className="unseen">
        <span key={count}>{words}</span>
      </p>
      {message && (
        <div className="toast" role="group" aria-label="The last change">
          <span>{message.text}</span>
          <button type="button" onClick={() => (message!.undo(), dismiss())}>
            Undo
          </button>
          <button type="button" className="quiet" aria-label="Dismiss" onClick={dismiss}>
            ✕
          </button>
        </div>
      )}
    </>
  );
}

/** The current time, which advances each `step` milliseconds while `active`. */
export function useNow(step: number, active = true): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!active) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), step);
    return () => clearInterval(timer);
  }, [step, active]);
  return now;
}

/** A value that is shown as chosen at once, before the store has it. */
export function useChosen<T>(actual: T): [T, (wanted: T) => void] {
  const [chosen, setChosen] = useState<{ wanted: T }>();
  useEffect(() => setChosen(undefined), [actual]);
  return [chosen ? chosen.wanted : actual, (wanted) => setChosen({ wanted })];
}

/** A button that does nothing while its work is not done. It keeps the focus, which a disabled button would lose. */
export function WorkButton({
  work,
  children,
  ...props
}: {
  work(): Promise<unknown>;
  children: ReactNode;
  className?: string;
  id?: string;
  'aria-label'?: string;
}) {
  const [busy, setBusy] = useState(false);
  const click = async () => {
    if (busy) return;
    setBusy(true);
    try {
      await work();
    } catch (error: any) {
      announce(`${error.message}`);
    } finally {
      setBusy(false);
    }
  };
  return (
    <button type="button" aria-disabled={busy || undefined} onClick={click} {...props}>
      {children}
    </button>
  );
}
