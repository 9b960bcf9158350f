package registry

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"posefuse/model"
	"posefuse/setting"
)

// SignatureFile lies beside a card: the 64 bytes of an ed25519 signature of
// card.json, which names the hash of the weights and so stands for both.
const SignatureFile = "card.json.sig"

// maxCard bounds a card that is checked, bytes, as package model does.
const maxCard = 1 << 20

// Keys are the public keys of those whose models are trusted. Without any,
// models need no signature.
type Keys []ed25519.PublicKey

// ErrUnsigned is wrapped when a model has no signature and needs one.
var ErrUnsigned = errors.New("is not signed")

// ParseKeys reads public keys as OpenSSL writes them (openssl pkey -pubout),
// the one line of base64 without the lines around it.
func ParseKeys(lines []string) (Keys, error) {
	var keys Keys
	for i, line := range lines {
		k, err := parseKey(line)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w: give the line between BEGIN and END of openssl pkey -pubout", i+1, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func parseKey(line string) (ed25519.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return nil, fmt.Errorf("no base64: %w", err)
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("no public key: %w", err)
	}
	k, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of another kind (%T), want ed25519", parsed)
	}
	return k, nil
}

// Verify checks the signature of the checkpoint in a folder. Without keys there
// is nothing to check.
func (k Keys) Verify(dir string) error {
	if len(k) == 0 {
		return nil
	}
	card, err := setting.ReadFile(filepath.Join(dir, model.CardFile), maxCard)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, SignatureFile)
	sig, err := setting.ReadFile(path, ed25519.SignatureSize)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s %w and model.trusted_keys wants a signature: sign it (docs/models.md) or empty model.trusted_keys", dir, ErrUnsigned)
	}
	if err != nil {
		return err
	}
	for _, key := range k {
		if ed25519.Verify(key, card, sig) {
			return nil
		}
	}
	return fmt.Errorf("%s is the signature of none of the %d keys of model.trusted_keys, or %s was changed after it was signed", path, len(k), model.CardFile)
}
