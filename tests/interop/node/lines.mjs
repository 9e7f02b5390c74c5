// The lines of JSON that `tests/interop/peer.rs` describes, for any endpoint with the methods of `peer.mjs`.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// Loads a package of package-lock.json from where `cargo xtask` has installed it.
export const installed = createRequire(`${process.env.NODE_PACKAGES}/`);

const input = createInterface({ input: process.stdin });
const lines = input[Symbol.asyncIterator]();
let isSeen = false;

// The next line; nothing when there is none.
async function heard() {
  const { value, done } = await lines.next();
  return done ? undefined : JSON.parse(value);
}

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

// `start` makes the endpoint from the settings.
export async function speak(start) {
  // The end of the test that started this program ends it, too, wherever it waits.
  input.once("close", () => isSeen || process.exit(1));
  const settings = await heard();
  const peer = await start(settings);
  if (settings.role === "caller") {
    say({ description: await peer.offer() });
    await peer.accept((await heard()).description);
  } else {
    say({ description: await peer.answer((await heard()).description) });
  }
  const seen = await peer.seen();
  isSeen = true;
  say({ seen });
  // The other may not be done.
  await heard();
  await peer.close();
  process.exit(0);
}
