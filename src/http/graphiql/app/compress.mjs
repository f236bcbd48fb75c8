// Compresses the build into ../bundle, which is committed: the gateway serves these bytes as they are.
import { constants, brotliCompressSync } from 'node:zlib';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const from = 'build';
const to = '../bundle';
rmSync(to, { recursive: true, force: true });
let raw = 0;
let small = 0;
for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const path = join(entry.parentPath, entry.name);
  const bytes = readFileSync(path);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  const compressed = brotliCompressSync(bytes, { params });
  const target = join(to, path.slice(from.length + 1) + '.br');
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, compressed);
  raw += bytes.length;
  small += compressed.length;
}
console.log(`${(raw / 1e6).toFixed(2)} MB, compressed ${(small / 1e6).toFixed(2)} MB`);
