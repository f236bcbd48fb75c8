import { defineConfig } from 'vite';

// Text fonts are the reader's own: those of the style sheets are left out (the icon font stays).
const systemFonts = {
  name: 'system-fonts',
  enforce: 'pre',
  transform(code, id) {
    if (!/\.css($|\?)/.test(id)) return null;
    return { code: code.replace(/@font-face\s*\{[^}]*font-family:\s*["']?(Roboto|Fira Code)[^}]*\}/g, ''), map: null };
  },
};

// Variables and headers are formatted by the JSON parser that is there anyway, not by one of JavaScript.
const plainJson = {
  name: 'plain-json',
  enforce: 'pre',
  transform(code, id) {
    if (!id.endsWith('@graphiql/react/dist/utility/jsonc.js')) return null;
    const changed = code
      .replace('import { parse,', 'import { applyEdits, format, parse,')
      .replace(
        /async function formatJSONC\(content\) \{[\s\S]*?\n\}\n/,
        'async function formatJSONC(content) {\n\treturn applyEdits(content, format(content, undefined, { insertSpaces: true, tabSize: 2 }));\n}\n',
      );
    if (changed.includes('prettier')) throw new Error('formatJSONC of @graphiql/react has changed');
    return { code: changed, map: null };
  },
};

export default defineConfig({
  // Served below /graphiql/, wherever that is.
  base: './',
  plugins: [systemFonts, plainJson],
  oxc: { jsx: { runtime: 'automatic' } },
  worker: { format: 'es' },
  build: {
    outDir: 'build',
    target: 'es2022',
    license: { fileName: 'licenses.md' },
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 8000,
    // Icons travel in the style sheet: fewer requests, nothing from elsewhere.
    assetsInlineLimit: 100_000,
    rolldownOptions: {
      onLog(level, log, handle) {
        if (log.code !== 'MODULE_LEVEL_DIRECTIVE') handle(level, log);
      },
    },
  },
});
