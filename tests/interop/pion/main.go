// One WebRTC endpoint that may use relayed candidates only: it speaks the lines of JSON that `tests/interop/peer.rs` describes.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"

	"github.com/pion/webrtc/v4"
)

type settings struct {
	Role     string `json:"role"`
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"`
	Messages int    `json:"messages"`
	Audio    bool   `json:"audio"`
}

// A line in either direction: one of its parts is there.
type line struct {
	Description *webrtc.SessionDescription `json:"description,omitempty"`
	Seen        *seen                      `json:"seen,omitempty"`
}

type speaker struct {
	lines *json.Decoder
	says  *json.Encoder
}

func main() {
	speaker := speaker{json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)}
	var settings settings
	if err := speaker.lines.Decode(&settings); err != nil {
		log.Fatal(err)
	}
	if err := speaker.run(settings); err != nil {
		log.Fatal(err)
	}
}

func (s speaker) run(settings settings) error {
	peer, err := newPeer(settings)
	if err != nil {
		return err
	}
	defer peer.close()
	if settings.Role == "caller" {
		err = s.call(peer)
	} else {
		err = s.answer(peer)
	}
	if err != nil {
		return err
	}
	ended, complete := make(chan error, 1), make(chan error, 1)
	go func() { ended <- s.lines.Decode(&line{}) }()
	var seen seen
	go func() {
		var err error
		seen, err = peer.seen()
		complete <- err
	}()
	select {
	case <-ended:
		return errors.New("the test that started this program has ended")
	case err = <-complete:
	}
	if err != nil {
		return err
	}
	if err = s.says.Encode(line{Seen: &seen}); err != nil {
		return err
	}
	// The other may not be done.
	if err = <-ended; !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (s speaker) call(peer *peer) error {
	offer, err := peer.offer()
	if err != nil {
		return err
	}
	if err = s.says.Encode(line{Description: offer}); err != nil {
		return err
	}
	var answer line
	if err = s.lines.Decode(&answer); err != nil {
		return err
	}
	return peer.connection.SetRemoteDescription(*answer.Description)
}

func (s speaker) answer(peer *peer) error {
	var offer line
	if err := s.lines.Decode(&offer); err != nil {
		return err
	}
	answer, err := peer.answer(*offer.Description)
	if err != nil {
		return err
	}
	return s.says.Encode(line{Description: answer})
}
