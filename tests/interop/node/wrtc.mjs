// libwebrtc in Node.js.

import { installed, speak } from "./lines.mjs";
import { Peer } from "./peer.mjs";

const wrtc = installed("@roamhq/wrtc");

const SAMPLES_A_SECOND = 48_000;
const SAMPLES = SAMPLES_A_SECOND / 100;

// A tone, ten milliseconds at a time.
function tone() {
  const source = new wrtc.nonstandard.RTCAudioSource();
  const samples = Int16Array.from({ length: SAMPLES }, (_, n) => 8_000 * Math.sin((2 * Math.PI * 440 * n) / SAMPLES_A_SECOND));
  setInterval(() => source.onData({ samples, sampleRate: SAMPLES_A_SECOND }), 10);
  return source.createTrack();
}

await speak((settings) => {
  const connection = new wrtc.RTCPeerConnection(Peer.configuration(settings));
  return new Peer(connection, settings, settings.audio ? tone() : undefined);
});
