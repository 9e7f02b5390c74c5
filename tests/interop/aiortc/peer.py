"""One WebRTC endpoint that may use relayed candidates only: it speaks the lines of JSON that `tests/interop/peer.rs` describes."""

import asyncio
import json
import os
import sys

from aiortc import AudioStreamTrack, RTCSessionDescription

from endpoint import endpoint, selected_pair

# Minimum number of audio packets that shows that sound flows.
SOUND = 25


def messages(count):
    """What the caller sends and the callee sends back: of all lengths up to about what a datagram holds."""
    return [bytes([number % 256]) * (1 + (number * 37) % 1100) for number in range(count)]


class Peer:
    def __init__(self, settings):
        self.settings, self.expected = settings, messages(settings["messages"])
        self.connection = endpoint(settings["url"], settings["user"], settings["password"])
        self.came, self.complete = [], asyncio.get_running_loop().create_future()
        self.connection.on("datachannel", self.echo)

    def take(self, message):
        self.came.append(message)
        if len(self.came) == len(self.expected):
            self.complete.set_result(None)

    def echo(self, channel):
        def take(message):
            channel.send(message)
            self.take(message)

        channel.on("message", take)

    def call(self):
        channel = self.connection.createDataChannel("interop")
        first, *others = self.expected

        # The others follow when the first is back: in libwebrtc's binding, messages overtake those that arrived before a listener was set.
        def take(message):
            if not self.came:
                for other in others:
                    channel.send(other)
            self.take(message)

        channel.on("message", take)
        channel.on("open", lambda: channel.send(first))

    async def offer(self):
        self.call()
        if self.settings["audio"]:
            self.connection.addTrack(AudioStreamTrack())
        await self.connection.setLocalDescription(await self.connection.createOffer())

    async def accept(self, description):
        await self.connection.setRemoteDescription(RTCSessionDescription(**description))

    async def answer(self):
        if self.settings["audio"]:
            self.connection.addTrack(AudioStreamTrack())
        await self.connection.setLocalDescription(await self.connection.createAnswer())

    def description(self):
        local = self.connection.localDescription
        return {"type": local.type, "sdp": local.sdp}

    async def sound(self):
        """Packets of sound that came, when they are enough."""
        while True:
            stats = (await self.connection.getStats()).values()
            count = sum(report.packetsReceived for report in stats if report.type == "inbound-rtp")
            if count >= SOUND:
                return count
            await asyncio.sleep(0.05)

    async def seen(self):
        await self.complete
        sound = await self.sound() if self.settings["audio"] else 0
        return {**selected_pair(self.connection), "messages": len(self.came), "intact": self.came == self.expected, "sound": sound}


def say(line):
    print(json.dumps(line), flush=True)


async def heard():
    """The next line; nothing when there is none."""
    line = await asyncio.to_thread(sys.stdin.readline)
    return json.loads(line) if line else None


async def main():
    settings = await heard()
    peer = Peer(settings)
    try:
        if settings["role"] == "caller":
            await peer.offer()
            say({"description": peer.description()})
            await peer.accept((await heard())["description"])
        else:
            await peer.accept((await heard())["description"])
            await peer.answer()
            say({"description": peer.description()})
        seen, end = asyncio.ensure_future(peer.seen()), asyncio.ensure_future(heard())
        await asyncio.wait((seen, end), return_when=asyncio.FIRST_COMPLETED)
        if not seen.done():
            # The test that started this program has ended.
            os._exit(1)
        say({"seen": seen.result()})
        # The other may not be done.
        await end
    finally:
        await peer.connection.close()


asyncio.run(main())
