import { svelte } from '@sveltejs/vite-plugin-svelte'
import { gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

const server = process.env.HEADWATER_URL ?? 'http://127.0.0.1:8080'

// The server refuses foreign origins; the proxy speaks to it as itself.
const proxy = { '/api': { target: server, changeOrigin: true, headers: { origin: server } } }

/** The build empties its folder; the one file of it that is tracked comes back with it. */
const tracked: Plugin = {
  name: 'tracked',
  generateBundle() {
    this.emitFile({ type: 'asset', fileName: '.gitignore', source: '*\n!.gitignore\n' })
  },
}

/** The server sends the packed file beside one to whom takes it: over a network a quarter of the bytes. */
const packed: Plugin = {
  name: 'packed',
  generateBundle: {
    order: 'post',
    handler(_options, bundle) {
      for (const made of Object.values(bundle)) {
        if (!/\.(js|css|svg)$/.test(made.fileName)) continue
        const source = gzipSync(made.type === 'chunk' ? made.code : made.source, { level: 9 })
        this.emitFile({ type: 'asset', fileName: `${made.fileName}.gz`, source })
      }
    },
  },
}

export default defineConfig({
  plugins: [svelte(), tracked, packed],
  build: {
    target: 'es2022',
    // `/assets/` is a page of the application.
    assetsDir: 'files',
    // A file inlined as a `data:` address would need a looser Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  server: { proxy },
  preview: { proxy },
  test: {
    projects: [
      { extends: true, test: { name: 'unit', include: ['src/**/*.test.ts'], environment: 'node' } },
      {
        extends: true,
        test: {
          name: 'browser',
          include: ['tests/**/*.test.ts'],
          environment: 'node',
          testTimeout: 60_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
