// Two WebRTC endpoints of werift that may use relayed candidates only, and a data channel between them for as long as the test wants.
//
// Writes "up" when messages pass, and reads a line when enough time has passed; the end of its input ends it. Then prints one line of
// JSON: whether messages still pass, in order, and over which candidates. The password comes from the environment (TURN_PASSWORD).

import { createInterface } from "node:readline";

import { installed } from "./lines.mjs";

const { RTCPeerConnection } = installed("werift");

// Messages a second.
const PACE = 50;

// The end of the test that started this program ends it, too, wherever it waits.
const lines = createInterface({ input: process.stdin });
let isTold = false;
const isTime = new Promise((resolve) => lines.once("line", () => resolve((isTold = true))));
lines.once("close", () => isTold || process.exit(1));

const [url, username, needed] = [process.argv[2], process.argv[3], Number(process.argv[4])];

function endpoint() {
  const server = { urls: url, username, credential: process.env.TURN_PASSWORD };
  return new RTCPeerConnection({ iceServers: [server], iceTransportPolicy: "relay" });
}

// The description with all candidates in it.
async function described(connection, description) {
  await connection.setLocalDescription(description);
  while (connection.iceGatheringState !== "complete") await sleep(20);
  return connection.localDescription;
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

const [caller, callee] = [endpoint(), endpoint()];
callee.onDataChannel.subscribe((theirs) => theirs.onMessage.subscribe((message) => theirs.send(message)));
const channel = caller.createDataChannel("long");
const came = [];
channel.onMessage.subscribe((message) => came.push(Number(message.toString())));
await callee.setRemoteDescription(await described(caller, await caller.createOffer()));
await caller.setRemoteDescription(await described(callee, await callee.createAnswer()));
while (channel.readyState !== "open") await sleep(20);

let sent = 0;
const ticker = setInterval(() => channel.readyState === "open" && channel.send(Buffer.from(String(sent++))), 1000 / PACE);
const until = async (count) => {
  while (came.length < count) await sleep(5);
};
await until(needed);
process.stdout.write("up\n");
await isTime;
await until(sent + needed);
clearInterval(ticker);
const types = [caller, callee].flatMap(({ iceTransports }) =>
  iceTransports.map(({ connection }) => [connection.nominated.localCandidate.type, connection.nominated.remoteCandidate.type]),
);
const report = {
  in_order: came.every((number, index) => number === index),
  back: came.length,
  sent,
  channel: channel.readyState,
  types: [...new Set(types.flat())].sort(),
};
process.stdout.write(`${JSON.stringify(report)}\n`);
process.exit(0);
