// libdatachannel, whose ICE agent is libjuice, in Node.js.

import { installed, speak } from "./lines.mjs";
import { Peer } from "./peer.mjs";

const { RTCPeerConnection } = installed("node-datachannel/polyfill");

await speak((settings) => new Peer(new RTCPeerConnection(Peer.configuration(settings)), settings));
