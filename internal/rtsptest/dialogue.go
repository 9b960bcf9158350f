package rtsptest

import (
	"bufio"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	recordPath = "/record"
	realm      = "posefuse test camera"
)

// request is one request.
type request struct {
	method, url string
	header      map[string]string // by name in lower case
	body        string
}

func readRequest(in *bufio.Reader) (request, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return request{}, err
	}
	words := strings.Fields(line)
	if len(words) != 3 {
		return request{}, errors.New("no request line")
	}
	r := request{method: words[0], url: words[1], header: map[string]string{}}
	for {
		if line, err = in.ReadString('\n'); err != nil {
			return request{}, err
		}
		if line = strings.TrimSpace(line); line == "" {
			break
		}
		key, value, _ := strings.Cut(line, ":")
		r.header[strings.ToLower(key)] = strings.TrimSpace(value)
	}
	body := make([]byte, atoi(r.header["content-length"]))
	_, err = io.ReadFull(in, body)
	r.body = string(body)
	return r, err
}

func newNonce() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// status is an answer without anything of a make's own.
func status(r request, line string, headers ...string) string {
	return "RTSP/1.0 " + line + "\r\nCSeq: " + r.header["cseq"] + "\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// answer does what a request asks for.
func (c *conn) answer(r request) string {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(r.url, recordPath) {
		return c.record(r)
	}
	if r.method != "OPTIONS" && s.User != "" && !c.authorized(r) {
		s.refused++
		return status(r, "401 Unauthorized", fmt.Sprintf(`WWW-Authenticate: Digest realm="%s", nonce="%s", stale="FALSE"`, realm, c.nonce))
	}
	switch r.method {
	case "OPTIONS":
		return s.say(s.Make.Options, r, "")
	case "DESCRIBE":
		if s.recorded == nil {
			return status(r, "404 Not Found")
		}
		s.described++
		return s.say(s.Make.Describe, r, "")
	case "SETUP":
		if !s.isVideo(r.url) {
			return status(r, "404 Not Found")
		}
		_, channels, ok := strings.Cut(r.header["transport"], "interleaved=")
		if !ok {
			return status(r, "461 Unsupported Transport")
		}
		first, _, _ := strings.Cut(channels, "-")
		c.channel = byte(atoi(first))
		return s.say(s.Make.Setup, r, fmt.Sprintf("%d-%d", c.channel, c.channel+1))
	case "PLAY":
		c.playing = true
		return s.say(s.Make.Play, r, "")
	case "GET_PARAMETER", "TEARDOWN":
		return status(r, "200 OK")
	}
	return status(r, "501 Not Implemented")
}

// record answers the one who records.
func (c *conn) record(r request) string {
	switch r.method {
	case "ANNOUNCE":
		var video []string
		for _, line := range strings.Split(strings.ReplaceAll(r.body, "\r", ""), "\n") {
			if strings.HasPrefix(line, "m=") {
				video = nil
			}
			video = append(video, line)
		}
		c.server.recorded = video
	case "SETUP":
		return status(r, "200 OK", "Transport: "+r.header["transport"], "Session: 1")
	case "RECORD":
		c.recording = true
	}
	return status(r, "200 OK", "Session: 1")
}

// authorized checks a digest.
func (c *conn) authorized(r request) bool {
	kind, words, _ := strings.Cut(r.header["authorization"], " ")
	if kind != "Digest" {
		return false
	}
	field := map[string]string{}
	for _, w := range strings.Split(words, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(w), "=")
		field[key] = strings.Trim(value, `"`)
	}
	hash := func(parts ...string) string {
		sum := md5.Sum([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(sum[:])
	}
	want := hash(hash(c.server.User, realm, c.server.Password), c.nonce, hash(r.method, field["uri"]))
	return field["username"] == c.server.User && field["response"] == want
}
