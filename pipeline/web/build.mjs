// Bundles the pages into dist/, where web.go embeds them. No CDN: they work offline.
import { build } from "esbuild";
import { copyFile, mkdir } from "node:fs/promises";

await mkdir("dist/assets", { recursive: true });
await build({
  entryPoints: ["src/session.js", "src/session.css", "src/login.js", "src/engineer.js", "src/engineer.css"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  outdir: "dist/assets",
  legalComments: "linked",
});
for (const page of ["index.html", "engineer.html", "login.html"]) await copyFile(`src/${page}`, `dist/${page}`);
