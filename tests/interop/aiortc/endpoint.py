"""A WebRTC endpoint that may use relayed candidates only, and the pair that it chose."""

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection
from aiortc.rtcconfiguration import RTCIceTransportPolicy


def endpoint(url, user, password):
    server = RTCIceServer(urls=url, username=user, credential=password)
    return RTCPeerConnection(RTCConfiguration(iceServers=[server], iceTransportPolicy=RTCIceTransportPolicy.RELAY))


def selected_pair(connection):
    """The library shows the selected pair nowhere in its public interface."""
    ice = connection.sctp.transport.transport._connection
    (pair,) = ice._nominated.values()
    return {
        side: {"type": candidate.type, "address": f"{candidate.host}:{candidate.port}"}
        for side, candidate in (("local", pair.local_candidate), ("remote", pair.remote_candidate))
    }
