// The form of one book.

import type { SyncService } from '../src/types.js';
import { button, el, openDialog } from './dom.js';
import { addBook, type Book, deleteBook, editBook, splitNames } from './library.js';

export function openForm(service: SyncService, device: string, book: Book | undefined, fallback: HTMLElement): void {
  openDialog(book ? `Edit on ${device}` : `New book on ${device}`, fallback, (body, close) => {
    const field = (label: string, props: object) => {
      const input = el('input', { id: `form-${label.toLowerCase()}`, autocomplete: 'off', ...props });
      return { input, row: el('p', { className: 'field' }, el('label', { for: input.id, textContent: label }), input) };
    };
    const title = field('Title', { required: true, maxLength: 500, value: book?.title ?? '' });
    const authors = field('Authors', { value: book?.authors.join(', ') ?? '' });
    const year = field('Year', { inputMode: 'numeric', pattern: '-?[0-9]{1,4}', value: book?.year ?? '' });
    const tags = field('Tags', { value: book?.tags.join(', ') ?? '', placeholder: 'separated by commas' });
    const notes = field('Notes', { value: book?.notes ?? '' });
    const now = () => ({
      title: title.input.value.trim(), authors: splitNames(authors.input.value), publishedYear: year.input.value ? +year.input.value : null,
      tags: splitNames(tags.input.value), notes: notes.input.value,
    });
    const before: Record<string, unknown> = now();
    const form = el('form', {
      onsubmit: async (event: Event) => {
        event.preventDefault();
        const data = now();
        // Only what was changed is an edit; the rest may have changed elsewhere.
        const changed = Object.entries(data).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]));
        close();
        if (!book) await addBook(service, data);
        else if (changed.length) await editBook(service, book.id, Object.fromEntries(changed));
      },
    },
      ...[title, authors, year, tags, notes].map(({ row }) => row),
      el('div', { className: 'row' },
        el('button', { className: 'primary', textContent: book ? 'Save' : 'Add' }),
        button('Cancel', close),
        book && button('Delete book', () => (close(), deleteBook(service, book)), { className: 'quiet' })));
    body.append(form);
  });
}
