// The tests of the store and of the queue once more, without IndexedDB.
process.env.BOOKY_MEMORY = '1';
for (const name of ['store', 'queue', 'pull', 'conflicts']) await import(`./${name}.test.mjs`);
