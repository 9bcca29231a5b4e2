export * from '@booky/sync';
