package main

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// Minimum number of audio packets that shows that sound flows.
const enoughSound = 25

// Twenty milliseconds of silence in Opus.
var silence = media.Sample{Data: []byte{0xF8, 0xFF, 0xFE}, Duration: 20 * time.Millisecond}

type candidate struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

// What it saw when all had come.
type seen struct {
	Local    candidate `json:"local"`
	Remote   candidate `json:"remote"`
	Messages int       `json:"messages"`
	Intact   bool      `json:"intact"`
	Sound    uint64    `json:"sound"`
}

type peer struct {
	connection *webrtc.PeerConnection
	expected   [][]byte
	track      *webrtc.TrackLocalStaticSample
	sound      atomic.Uint64
	complete   chan struct{}
	over       chan struct{}
	mutex      sync.Mutex
	came       [][]byte
}

// What the caller sends and the callee sends back: of all lengths up to about what a datagram holds.
func messages(count int) [][]byte {
	all := make([][]byte, count)
	for number := range all {
		all[number] = bytes.Repeat([]byte{byte(number)}, 1+(number*37)%1100)
	}
	return all
}

func newPeer(settings settings) (*peer, error) {
	server := webrtc.ICEServer{URLs: []string{settings.URL}, Username: settings.User, Credential: settings.Password}
	connection, err := webrtc.NewPeerConnection(webrtc.Configuration{
		ICEServers:         []webrtc.ICEServer{server},
		ICETransportPolicy: webrtc.ICETransportPolicyRelay,
	})
	if err != nil {
		return nil, err
	}
	p := &peer{connection: connection, expected: messages(settings.Messages), complete: make(chan struct{}), over: make(chan struct{})}
	connection.OnDataChannel(func(channel *webrtc.DataChannel) {
		p.listen(channel, func(data []byte) { _ = channel.Send(data) })
	})
	if settings.Audio {
		err = p.addSound()
	}
	return p, err
}

func (p *peer) addSound() (err error) {
	codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48_000, Channels: 2}
	if p.track, err = webrtc.NewTrackLocalStaticSample(codec, "audio", "interop"); err != nil {
		return err
	}
	p.connection.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			p.sound.Add(1)
		}
	})
	go func() {
		for {
			select {
			case <-p.over:
				return
			case <-time.After(silence.Duration):
				_ = p.track.WriteSample(silence)
			}
		}
	}()
	_, err = p.connection.AddTrack(p.track)
	return err
}

func (p *peer) listen(channel *webrtc.DataChannel, also func([]byte)) {
	channel.OnMessage(func(message webrtc.DataChannelMessage) {
		also(message.Data)
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.came = append(p.came, message.Data)
		if len(p.came) == len(p.expected) {
			close(p.complete)
		}
	})
}

func (p *peer) offer() (*webrtc.SessionDescription, error) {
	channel, err := p.connection.CreateDataChannel("interop", nil)
	if err != nil {
		return nil, err
	}
	// The others follow when the first is back: in libwebrtc's binding, messages overtake those that arrived before a listener was set.
	others := p.expected[1:]
	p.listen(channel, func([]byte) {
		for _, message := range others {
			_ = channel.Send(message)
		}
		others = nil
	})
	channel.OnOpen(func() { _ = channel.Send(p.expected[0]) })
	offer, err := p.connection.CreateOffer(nil)
	if err != nil {
		return nil, err
	}
	return p.described(offer)
}

func (p *peer) answer(offer webrtc.SessionDescription) (*webrtc.SessionDescription, error) {
	if err := p.connection.SetRemoteDescription(offer); err != nil {
		return nil, err
	}
	answer, err := p.connection.CreateAnswer(nil)
	if err != nil {
		return nil, err
	}
	return p.described(answer)
}

// The description with all candidates in it.
func (p *peer) described(description webrtc.SessionDescription) (*webrtc.SessionDescription, error) {
	gathered := webrtc.GatheringCompletePromise(p.connection)
	if err := p.connection.SetLocalDescription(description); err != nil {
		return nil, err
	}
	<-gathered
	return p.connection.LocalDescription(), nil
}

func (p *peer) seen() (seen, error) {
	<-p.complete
	for p.track != nil && p.sound.Load() < enoughSound {
		time.Sleep(20 * time.Millisecond)
	}
	local, remote, err := p.pair()
	if err != nil {
		return seen{}, err
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	intact := true
	for number, message := range p.expected {
		intact = intact && bytes.Equal(message, p.came[number])
	}
	return seen{Local: local, Remote: remote, Messages: len(p.came), Intact: intact, Sound: p.sound.Load()}, nil
}

// The pair of candidates in use, from the library's own statistics.
func (p *peer) pair() (local, remote candidate, err error) {
	stats := p.connection.GetStats()
	for _, report := range stats {
		pair, isPair := report.(webrtc.ICECandidatePairStats)
		if !isPair || !pair.Nominated {
			continue
		}
		side := func(id string) (candidate, error) {
			found, there := stats[id].(webrtc.ICECandidateStats)
			if !there {
				return candidate{}, fmt.Errorf("no candidate %s", id)
			}
			address := net.JoinHostPort(found.IP, strconv.Itoa(int(found.Port)))
			return candidate{Type: found.CandidateType.String(), Address: address}, nil
		}
		if local, err = side(pair.LocalCandidateID); err != nil {
			return local, remote, err
		}
		remote, err = side(pair.RemoteCandidateID)
		return local, remote, err
	}
	return local, remote, fmt.Errorf("no pair is nominated")
}

func (p *peer) close() {
	close(p.over)
	_ = p.connection.Close()
}
