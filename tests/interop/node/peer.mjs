// A WebRTC endpoint that may use relayed candidates only, on the interface that browsers have: it runs in a page and in Node.js.

// Minimum number of audio packets that shows that sound flows.
const SOUND = 25;

// What the caller sends and the callee sends back: of all lengths up to about what a datagram holds.
function messages(count) {
  return Array.from({ length: count }, (_, number) => new Uint8Array(1 + ((number * 37) % 1100)).fill(number % 256));
}

function same(ours, theirs) {
  return ours.length === theirs.length && ours.every((byte, index) => byte === theirs[index]);
}

export class Peer {
  // `track` is what sounds, or nothing.
  constructor(connection, settings, track) {
    Object.assign(this, { connection, track, expected: messages(settings.messages), came: [] });
    this.complete = new Promise((resolve) => (this.done = resolve));
    connection.ondatachannel = ({ channel }) => this.listen(channel, (data) => channel.send(data));
    if (track) connection.addTrack(track);
  }

  static configuration({ url, user, password }) {
    return { iceServers: [{ urls: url, username: user, credential: password }], iceTransportPolicy: "relay" };
  }

  listen(channel, also) {
    channel.binaryType = "arraybuffer";
    channel.onmessage = ({ data }) => {
      also(data);
      this.came.push(new Uint8Array(data));
      if (this.came.length === this.expected.length) this.done();
    };
  }

  async offer() {
    const channel = this.connection.createDataChannel("interop");
    const [first, ...others] = this.expected;
    // The others follow when the first is back: in libwebrtc's binding, messages overtake those that arrived before a listener was set.
    this.listen(channel, () => this.came.length === 0 && others.forEach((message) => channel.send(message)));
    channel.onopen = () => channel.send(first);
    return this.described(await this.connection.createOffer());
  }

  async answer(description) {
    await this.accept(description);
    return this.described(await this.connection.createAnswer());
  }

  async accept(description) {
    await this.connection.setRemoteDescription(description);
  }

  // The description with all candidates in it.
  async described(description) {
    const gathered = new Promise((resolve) => {
      this.connection.onicegatheringstatechange = () => this.connection.iceGatheringState === "complete" && resolve();
    });
    await this.connection.setLocalDescription(description);
    if (this.connection.iceGatheringState !== "complete") await gathered;
    const { type, sdp } = this.connection.localDescription;
    return { type, sdp };
  }

  async seen() {
    await this.complete;
    const sound = this.track ? await this.sound() : 0;
    const intact = this.expected.every((message, index) => same(message, this.came[index]));
    return { ...(await this.pair()), messages: this.came.length, intact, sound };
  }

  // Packets of sound that came, when they are enough.
  async sound() {
    for (;;) {
      const counts = [...(await this.connection.getStats()).values()].filter(({ type }) => type === "inbound-rtp");
      const count = counts.reduce((sum, { packetsReceived }) => sum + packetsReceived, 0);
      if (count >= SOUND) return count;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  // The pair of candidates in use, from the library's own statistics.
  async pair() {
    const stats = await this.connection.getStats();
    const all = [...stats.values()];
    const { selectedCandidatePairId } = all.find(({ type }) => type === "transport");
    const pair = stats.get(selectedCandidatePairId);
    const side = (id) => {
      const { candidateType, address, ip, port } = stats.get(id);
      return { type: candidateType, address: `${address ?? ip}:${port}` };
    };
    return { local: side(pair.localCandidateId), remote: side(pair.remoteCandidateId) };
  }

  close() {
    this.connection.close();
  }
}
