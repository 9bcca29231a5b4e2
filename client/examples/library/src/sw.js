// Starts the app without a network, and sends the edits when the page is closed. The build adds CACHE and FILES.
importScripts('service-worker-classic.js');

bookySync.handleBackgroundSync({
  // A backend would know by its cookie who is signed in. Here the page has stored the name.
  async token() {
    const user = await (await caches.match('user'))?.text();
    return user && (await (await fetch(`session/${user}.json`)).json()).token;
  },
});

addEventListener('install', (event) => event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES))));
addEventListener('activate', (event) => event.waitUntil(caches.keys().then((names) =>
  Promise.all(names.filter((name) => name.startsWith('app-') && name !== CACHE).map((name) => caches.delete(name))))));
addEventListener('fetch', (event) => {
  if (event.request.method !== 'GET' || /\/(api|session)\//.test(event.request.url)) return;
  event.respondWith(caches.match(event.request).then((stored) => stored ?? fetch(event.request)));
});
