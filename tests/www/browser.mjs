// A real Chromium for tests: the one that is installed, else the one that came with node_modules.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const INSTALLED = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** Starts a browser with an empty profile; throws when there is none. @returns {Promise<import("playwright-core").Browser>} */
export async function launch() {
  const executablePath = process.env.CHROMIUM ?? INSTALLED.find((path) => existsSync(path)) ?? await (await import("@sparticuz/chromium")).default.executablePath();
  return chromium.launch({ executablePath, headless: true, args: FLAGS });
}
