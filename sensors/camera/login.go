package camera

import (
	"crypto/md5" //nolint:gosec // what most cameras offer, RFC 7616 asks for it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
)

// credentials are a user and a password. They have no text.
type credentials struct{ user, password string }

// challenge is one way of logging in that a server offers.
type challenge struct {
	scheme string            // lower case
	params map[string]string // keys in lower case
}

// digestHashes are the algorithms of Digest, without -sess.
var digestHashes = map[string]func() hash.Hash{
	"":            md5.New, // it is what no algorithm means
	"md5":         md5.New,
	"sha-256":     sha256.New,
	"sha-512-256": sha512.New512_256,
}

// strength orders the ways of logging in; 0 is one that is not known.
func (c *challenge) strength() int {
	switch c.scheme {
	case "basic":
		return 1
	case "digest":
		algorithm := c.algorithm()
		if digestHashes[algorithm] == nil || c.params["nonce"] == "" || c.params["qop"] != "" && !c.hasQop() {
			return 0
		}
		if algorithm == "" || algorithm == "md5" {
			return 2
		}
		return 3
	}
	return 0
}

func (c *challenge) algorithm() string {
	return strings.TrimSuffix(strings.ToLower(c.params["algorithm"]), "-sess")
}

// hasQop reports whether the server takes a quality of protection without the
// body, which a GET has not.
func (c *challenge) hasQop() bool {
	for q := range strings.SplitSeq(c.params["qop"], ",") {
		if strings.EqualFold(strings.TrimSpace(q), "auth") {
			return true
		}
	}
	return false
}

// stale reports whether only the nonce was too old.
func (c *challenge) stale() bool { return strings.EqualFold(c.params["stale"], "true") }

// strongest returns the best of the ways that headers WWW-Authenticate offer,
// nil if none is known.
func strongest(headers []string) (best *challenge) {
	for _, h := range headers {
		for _, c := range parseChallenges(h) {
			if s := c.strength(); s > 0 && (best == nil || s > best.strength()) {
				best = &c
			}
		}
	}
	return best
}

// parseChallenges reads one header WWW-Authenticate, which may offer several.
func parseChallenges(h string) (all []challenge) {
	for {
		h = strings.TrimLeft(h, ", \t")
		n := strings.IndexAny(h, " \t,=\"")
		if n < 0 {
			n = len(h)
		}
		word, rest := strings.ToLower(h[:n]), strings.TrimLeft(h[n:], " \t")
		switch {
		case strings.HasPrefix(rest, "="): // a parameter
			var value string
			value, h = paramValue(strings.TrimLeft(rest[1:], " \t"))
			if len(all) > 0 {
				all[len(all)-1].params[word] = value
			}
		case word != "":
			all = append(all, challenge{scheme: word, params: map[string]string{}})
			h = rest
		case rest != "": // a stray quote
			h = rest[1:]
		default:
			return all
		}
	}
}

// paramValue reads a word or a quoted text, and returns what follows.
func paramValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		n := strings.IndexAny(s, " \t,")
		if n < 0 {
			n = len(s)
		}
		return s[:n], s[n:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// authorization returns the header of a GET of uri that answers the challenge.
// cnonce is a random word and count the number of the nonce's use.
func (c *challenge) authorization(who credentials, uri, cnonce string, count uint32) string {
	if c.scheme == "basic" {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(who.user+":"+who.password))
	}
	sum := func(parts ...string) string {
		h := digestHashes[c.algorithm()]()
		_, _ = h.Write([]byte(strings.Join(parts, ":")))
		return fmt.Sprintf("%x", h.Sum(nil))
	}
	realm, nonce, user := c.params["realm"], c.params["nonce"], who.user
	secret := sum(user, realm, who.password)
	if strings.HasSuffix(strings.ToLower(c.params["algorithm"]), "-sess") {
		secret = sum(secret, nonce, cnonce)
	}
	hashed := strings.EqualFold(c.params["userhash"], "true")
	if hashed {
		user = sum(user, realm)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Digest username=%s, realm=%s, nonce=%s, uri=%s", quoted(user), quoted(realm), quoted(nonce), quoted(uri))
	if a := c.params["algorithm"]; a != "" {
		fmt.Fprintf(&b, ", algorithm=%s", a)
	}
	if c.hasQop() {
		nc := fmt.Sprintf("%08x", count)
		fmt.Fprintf(&b, ", qop=auth, nc=%s, cnonce=%s, response=%s", nc, quoted(cnonce), quoted(sum(secret, nonce, nc, cnonce, "auth", sum("GET", uri))))
	} else {
		fmt.Fprintf(&b, ", response=%s", quoted(sum(secret, nonce, sum("GET", uri))))
	}
	if o, ok := c.params["opaque"]; ok {
		fmt.Fprintf(&b, ", opaque=%s", quoted(o))
	}
	if hashed {
		b.WriteString(", userhash=true")
	}
	return b.String()
}

var quoteEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func quoted(s string) string { return `"` + quoteEscapes.Replace(s) + `"` }
