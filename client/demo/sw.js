// Starts the page without a network. What the network has is shown; what was stored is shown if there is none.
const CACHE = 'booky-demo',
  FILES = ['/', '/demo/demo.js', '/demo/base.css', '/demo/demo.css', '/demo/icon.svg'];

const ours = (url) =>
  url.origin === location.origin &&
  (url.pathname === '/' || (url.pathname.startsWith('/demo/') && !/json$/.test(url.pathname)));

async function fromNetwork(request) {
  const cache = await caches.open(CACHE);
  try {
    const reply = await fetch(request);
    if (reply.ok) await cache.put(request, reply.clone());
    return reply;
  } catch (error) {
    const stored = await cache.match(request);
    if (!stored) throw error;
    return stored;
  }
}

addEventListener('install', (event) => {
  skipWaiting();
  // CHUNKS is replaced by build.mjs.
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll([...FILES, ...CHUNKS])));
});
addEventListener('activate', (event) => event.waitUntil(clients.claim()));
addEventListener('fetch', (event) => {
  if (event.request.method === 'GET' && ours(new URL(event.request.url))) event.respondWith(fromNetwork(event.request));
});
