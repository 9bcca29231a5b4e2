export const plural = (n: number, noun: string) => `${n.toLocaleString('en')} ${noun}${n === 1 ? '' : 's'}`;
export const show = (value: unknown) => (Array.isArray(value) ? value.join(', ') : `${value ?? '(none)'}`);
