import type { FormEvent } from 'react';

type Props = { labels: string[]; action: string; add: (...texts: string[]) => Promise<unknown> };

/** A form with a field for each label; the first one is required. `add` gets the texts in this order. */
export function AddForm({ labels, action, add }: Props) {
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    await add(...new FormData(form).getAll('text').map(String));
    form.reset();
  };
  return (
    <form className="row" onSubmit={submit}>
      {labels.map((label, i) => <label key={label}>{label} <input name="text" required={!i} /></label>)}
      <button>{action}</button>
    </form>
  );
}
