// Gzip bombs for the tests of limits.
import zlib from 'node:zlib';

// A gzip member of about `size` bytes that holds gigabytes of blanks: one compressed megabyte, repeated. Its header may
// hold a file name. It has no trailer.
export function gzipBomb(size, { name } = {}) {
  const block = zlib.deflateRawSync(Buffer.alloc(1 << 20, ' '), { level: 9, finishFlush: zlib.constants.Z_FULL_FLUSH });
  const header = Buffer.from([0x1f, 0x8b, 8, name ? 8 : 0, 0, 0, 0, 0, 0, 3]);
  const start = Buffer.concat([header, Buffer.from(name ? `${name}\0` : '')]);
  return Buffer.concat([start, ...Array(Math.floor((size - start.length) / block.length)).fill(block)]);
}
