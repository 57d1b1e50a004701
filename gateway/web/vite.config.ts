// Builds the page into dist/: one script, one style sheet, relative addresses, nothing inlined, so that the gateway
// can serve it from its own binary under a Content-Security-Policy of 'self' alone.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  plugins: [svelte()],
  build: {
    outDir: 'dist',
    target: 'es2022',
    // A data: address in the style sheet or the markup would need a wider policy.
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  server: {
    host: '127.0.0.1',
    // The catalogues live beside this folder: both ends read the same files.
    fs: { allow: ['..'] },
    proxy: { '/api': process.env['GIOT_URL'] ?? 'http://127.0.0.1:8080' },
  },
});
