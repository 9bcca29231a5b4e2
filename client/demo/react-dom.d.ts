// What the page uses of react-dom, whose types are a package of their own.
declare module 'react-dom/client' {
  export function createRoot(container: Element): { render(children: import('react').ReactNode): void };
}
