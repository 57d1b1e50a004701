// Compiles the unit tests (TypeScript, raw catalogues) to plain modules that Node's own test runner can start.
import { readdirSync } from 'node:fs';
import { defineConfig } from 'vite';

const tests = readdirSync('test').filter((name) => name.endsWith('.test.ts'));

export default defineConfig({
  publicDir: false,
  build: {
    ssr: true,
    outDir: 'node_modules/.giot-test',
    emptyOutDir: true,
    target: 'node20',
    minify: false,
    rollupOptions: {
      input: Object.fromEntries(tests.map((name) => [name.replace(/\.ts$/, ''), `test/${name}`])),
      output: { entryFileNames: '[name].mjs', chunkFileNames: 'shared-[name].mjs' },
    },
  },
});
