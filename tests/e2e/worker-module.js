// The same service worker as a module, without the offline start.
import { handleBackgroundSync } from '/demo/dist/service-worker.js';

handleBackgroundSync({ token: async () => (await caches.match('/token'))?.text() });
