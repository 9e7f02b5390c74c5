// Headless Chromium: the endpoint is in a page.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { Browser } from "./devtools.mjs";
import { speak } from "./lines.mjs";

// A home of its own, with the test's authority, if there is one, among the trusted ones.
function home(folder, root) {
  mkdirSync(folder, { recursive: true });
  if (!root) return folder;
  const database = join(folder, ".pki/nssdb");
  mkdirSync(database, { recursive: true });
  execFileSync("certutil", ["-N", "--empty-password", "-d", `sql:${database}`]);
  execFileSync("certutil", ["-A", "-d", `sql:${database}`, "-n", "interop", "-t", "C,,", "-i", root]);
  return folder;
}

function flags(folder) {
  return [
    `--user-data-dir=${join(folder, "profile")}`,
    "--no-first-run",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    // It runs in a container, as root: and it sees nothing but this page.
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
  ];
}

class Page {
  constructor(browser, evaluate) {
    Object.assign(this, { browser, evaluate });
  }

  offer() {
    return this.evaluate("peer.offer()");
  }

  answer(description) {
    return this.evaluate(`peer.answer(${JSON.stringify(description)})`);
  }

  accept(description) {
    return this.evaluate(`peer.accept(${JSON.stringify(description)})`);
  }

  seen() {
    return this.evaluate("peer.seen()");
  }

  close() {
    return this.browser.close();
  }
}

await speak(async (settings) => {
  const folder = home(process.env.INTEROP_FOLDER, process.env.SSL_CERT_FILE);
  const browser = new Browser("chromium", flags(folder), { HOME: folder });
  // A file's page is a secure context, which may use the microphone.
  const blank = join(folder, "page.html");
  writeFileSync(blank, "<!doctype html><title>interop</title>");
  const evaluate = await browser.page(`file://${blank}`);
  const module = readFileSync(new URL("peer.mjs", import.meta.url)).toString("base64");
  await evaluate(`(async () => {
    const settings = ${JSON.stringify(settings)};
    const { Peer } = await import("data:text/javascript;base64,${module}");
    const sound = settings.audio ? await navigator.mediaDevices.getUserMedia({ audio: true }) : undefined;
    globalThis.peer = new Peer(new RTCPeerConnection(Peer.configuration(settings)), settings, sound?.getTracks()[0]);
  })()`);
  return new Page(browser, evaluate);
});
