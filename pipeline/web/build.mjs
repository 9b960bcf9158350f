// Bundles the page into dist/, where web.go embeds it. No CDN: the page works offline.
import { build } from "esbuild";
import { copyFile, mkdir } from "node:fs/promises";

await mkdir("dist/assets", { recursive: true });
await build({
  entryPoints: ["src/main.js", "src/style.css"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  outdir: "dist/assets",
  legalComments: "linked",
});
await copyFile("src/index.html", "dist/index.html");
