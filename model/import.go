package model

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// ReadWeightsFile fills the network like ReadWeights and returns the file's
// sha256 besides.
func (n *Network) ReadWeightsFile(path string) (conv Conversion, sum string, err error) {
	if info, statErr := os.Stat(path); statErr == nil && !info.Mode().IsRegular() {
		return conv, "", fmt.Errorf("%s: not a regular file", path) // opening a FIFO would wait
	}
	f, err := os.Open(path)
	if err != nil {
		return conv, "", err // names the file and what is wrong
	}
	defer func() { _ = f.Close() }() // it was only read
	h := sha256.New()
	if conv, err = n.ReadWeights(io.TeeReader(f, h)); err != nil {
		return conv, "", fmt.Errorf("%s: %w", path, err)
	}
	return conv, hex.EncodeToString(h.Sum(nil)), nil
}

// NotStated stands in a card whose weights came without word of their training.
const NotStated = "not stated"

// Adopt makes the card that of a weights file from elsewhere. What was measured
// on other weights does not describe these; it says what it left out.
func (c *Card) Adopt(sum string) (notices []string) {
	if c.SHA256 == sum {
		return nil
	}
	if len(c.Metrics) > 0 {
		notices = append(notices, "the card's metrics are those of other weights and were left out")
	}
	if c.Quantization != nil {
		notices = append(notices, "the card's quantization was calibrated on other weights and was left out")
	}
	if c.Envelope != nil {
		notices = append(notices, "where the model holds was measured on other weights and was left out; posefuse eval --world measures it")
	}
	c.Parent, c.Metrics, c.Quantization, c.Envelope = c.SHA256, nil, nil, nil
	c.Data, c.Split, c.Notes = NotStated, NotStated, ""
	return notices
}
