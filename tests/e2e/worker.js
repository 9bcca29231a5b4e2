// The service worker of worker.test.mjs, a classic one: it stores the page for an offline start, and syncs without it.
importScripts('/demo/dist/service-worker-classic.js');

bookySync.handleBackgroundSync({ token: async () => (await caches.match('/token'))?.text() });

const FILES = ['bare.html', 'dist/index.js', 'dist/engine.js', 'dist/views.js', 'dist/service-worker.js']
  .map((name) => `/demo/${name}`);
addEventListener('install', (event) =>
  event.waitUntil(caches.open('shell').then((cache) => cache.addAll(FILES))));
addEventListener('fetch', (event) => {
  if (event.request.method === 'GET' && !event.request.url.includes('/api/'))
    event.respondWith(caches.match(event.request).then((stored) => stored ?? fetch(event.request)));
});
