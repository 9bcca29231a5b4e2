import { createRoot } from 'react-dom/client';
import { App } from './app.js';
import './app.css';

addEventListener('unhandledrejection', ({ reason }) => alert(reason.message)); // such as a disk that is full
createRoot(document.getElementById('app')!).render(<App />);
if (import.meta.env.PROD) void navigator.serviceWorker?.register('sw.js');
